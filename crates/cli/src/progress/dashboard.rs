use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;
use burn::train::renderer::tui::TuiMetricsRendererWrapper;

/// Open burn's dashboard.
pub fn open(interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
    let dashboard = Box::new(TuiMetricsRendererWrapper::new(interrupter.clone(), None));
    #[cfg(unix)]
    keep_ctrl_c();
    dashboard
}

/// Let Ctrl-C reach the program again.
///
/// The dashboard puts the terminal into raw mode, where Ctrl-C is a key like any other, and it has
/// no use for that key.
#[cfg(unix)]
fn keep_ctrl_c() {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    use std::thread::sleep;
    use std::time::Duration;

    let terminal = std::io::stdin();
    // The dashboard opens on a thread of its own: wait for its raw mode, else it would undo this.
    for _ in 0..100 {
        let Ok(mut modes) = tcgetattr(&terminal) else {
            return; // No terminal, no keys.
        };
        if modes.local_modes.contains(LocalModes::ICANON) {
            sleep(Duration::from_millis(10));
            continue;
        }
        modes.local_modes.insert(LocalModes::ISIG);
        if let Err(error) = tcsetattr(&terminal, OptionalActions::Now, &modes) {
            log::warn!("Ctrl-C will not stop the dashboard, `q` does: {error}");
        }
        return;
    }
}
