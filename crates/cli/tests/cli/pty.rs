//! The program on a terminal.

use crate::common::*;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A program on another terminal.
pub struct Session {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    screen: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Session {
    /// Starts the program with these arguments, in a folder and on a terminal of that width and
    /// kind.
    pub fn start(arguments: &[&str], folder: &Path, columns: u16, kind: &str) -> Self {
        let terminal = native_pty_system()
            .openpty(PtySize {
                rows: 40,
                cols: columns,
                ..PtySize::default()
            })
            .unwrap();
        let mut command = CommandBuilder::new(PROGRAM);
        command.env_remove("BURN_DEVICE");
        command.env("TERM", kind);
        command.cwd(folder);
        command.args(arguments);
        let child = terminal.slave.spawn_command(command).unwrap();

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
        Self {
            child,
            keyboard: terminal.master.take_writer().unwrap(),
            master: terminal.master,
            screen,
            reading,
        }
    }

    /// Returns all that was written to the terminal so far.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }

    /// Types these keys.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the end of the program, and returns its exit code with all that was written.
    pub fn end(mut self) -> (u32, String) {
        let start = std::time::Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > std::time::Duration::from_secs(120) {
                self.child.kill().unwrap();
                panic!("it does not end: {}", self.screen());
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        };
        drop(self.master);
        drop(self.keyboard);
        self.reading.join().unwrap();
        let screen = String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned();
        (status.exit_code(), screen)
    }
}
