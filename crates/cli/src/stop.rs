use crate::progress;
use burn_distill_experiment::Stop;

/// Exit code of a program that was stopped on request, by the convention of shells.
pub const STOPPED: u8 = 130;

/// Listens to Ctrl-C, to the request to terminate and to the end of the terminal. The second of
/// these signals ends the program at once.
pub fn listen() -> anyhow::Result<Stop> {
    let stop = Stop::default();
    let handler = stop.clone();
    ctrlc::set_handler(move || {
        if handler.is_requested() {
            progress::give_back_terminal();
            std::process::exit(i32::from(STOPPED));
        }
        handler.request();
    })?;
    Ok(stop)
}
