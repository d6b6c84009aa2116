//! The program on a terminal: the dashboard, and Ctrl-C.

use crate::common::*;
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};

#[test]
fn ctrl_c_leaves_the_dashboard_and_a_run_that_goes_on() {
    let out = tempfile::tempdir().unwrap();
    // Far more epochs than there is time for.
    let changes = [&SHORT[..2], &["teacher.training.epochs=100000"]].concat();
    let terminal = native_pty_system()
        .openpty(PtySize {
            rows: 40,
            cols: 120,
            ..PtySize::default()
        })
        .unwrap();
    let mut command = CommandBuilder::new(PROGRAM);
    command.env_remove("BURN_DEVICE");
    command.args(run_arguments(out.path(), &changes));
    let mut child = terminal.slave.spawn_command(command).unwrap();
    drop(terminal.slave);

    let screen = Arc::new(Mutex::new(Vec::new()));
    let mut reader = terminal.master.try_clone_reader().unwrap();
    let reading = std::thread::spawn({
        let screen = screen.clone();
        move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                screen.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        }
    });
    let shows = |text: &str| String::from_utf8_lossy(&screen.lock().unwrap()).contains(text);

    let training = out.path().join("seed-0/teacher");
    wait_until("the dashboard", || shows("\u{1b}[?1049h"));
    wait_until("a checkpoint", || {
        checkpointed_epoch(&training).is_some_and(|epoch| epoch > 2)
    });
    terminal
        .master
        .take_writer()
        .unwrap()
        .write_all(b"\x03")
        .unwrap();

    let status = child.wait().unwrap();
    drop(terminal.master);
    reading.join().unwrap();
    assert_eq!(status.exit_code(), 130, "{status:?}");
    assert!(
        shows("\u{1b}[?1049l"),
        "the dashboard gives the screen back"
    );
    assert!(shows("stopped; resume with: burn-distill run"));

    // It continues: after one more request to stop, more epochs are done.
    let before = checkpointed_epoch(&training).unwrap();
    let arguments = run_arguments(out.path(), &changes);
    let mut resumed = program(&more_than(&arguments, &["--resume", "--progress", "none"]))
        .spawn()
        .unwrap();
    wait_until("another epoch", || {
        checkpointed_epoch(&training) > Some(before)
    });
    resumed.kill().unwrap();
    resumed.wait().unwrap();
    assert!(checkpointed_epoch(&training) > Some(before));
}
