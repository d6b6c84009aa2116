use super::archive::unpack;
use crate::{DataError, DatasetInfo, RemoteFile};
use indicatif::{ProgressBar, ProgressStyle};
use md5::{Digest, Md5};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use ureq::Agent;
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use ureq::http::{Response, StatusCode};

/// Timeout for a server that sends nothing.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Downloads the files of a data set to `folder`, and unpacks them if they are an archive.
///
/// `whole` returns whether all of them are present: another process may be working on the same
/// folder.
pub(super) fn obtain(
    agent: &Agent,
    info: &DatasetInfo,
    folder: &Path,
    whole: impl Fn() -> bool,
) -> Result<(), DataError> {
    fs::create_dir_all(folder).map_err(|source| DataError::io(folder, source))?;
    let path = folder.join(".lock");
    let lock = File::create(&path).map_err(|source| DataError::io(&path, source))?;
    // Some network file systems cannot lock: there, two processes may download the same files
    // twice.
    if let Err(error) = lock.lock() {
        log::warn!("{}: {error}", path.display());
    }
    if whole() {
        return Ok(());
    }
    for file in info.files {
        download(agent, file, folder)?;
        if let Some(unpacked) = info.folder {
            unpack(&folder.join(file.name), &folder.join(unpacked))?;
        }
    }
    Ok(())
}

/// Returns the client, which uses the proxy of the environment.
pub(super) fn agent() -> Agent {
    Agent::config_builder()
        // The length and the checksum are those of the body before decompression.
        .accept_encoding("identity")
        .http_status_as_error(false)
        .timeout_connect(Some(TIMEOUT))
        .timeout_recv_response(Some(TIMEOUT))
        .timeout_per_read(Some(TIMEOUT))
        .build()
        .into()
}

/// Downloads a file, unless it exists. It gets its final name only when it is complete and its
/// checksum is the published one.
fn download(agent: &Agent, remote: &RemoteFile, folder: &Path) -> Result<(), DataError> {
    let target = folder.join(remote.name);
    if target.is_file() {
        return Ok(());
    }
    let url = format!("{}{}", remote.base, remote.name);
    let path = folder.join(format!("{}.part", remote.name));
    let io = |source| DataError::io(&path, source);
    let mut part = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;

    let mut left_over = part.metadata().map_err(io)?.len() > 0;
    loop {
        fill(agent, &url, &mut part).map_err(|reason| DataError::Download {
            url: url.clone(),
            reason,
            file: remote.name.into(),
            folder: folder.to_path_buf(),
        })?;
        let found = checksum(&mut part).map_err(io)?;
        if found == remote.md5 {
            break;
        }
        part.set_len(0).map_err(io)?;
        // The remains of an earlier run may be the cause: tries once more from the start.
        if !std::mem::take(&mut left_over) {
            return Err(DataError::Checksum {
                url,
                expected: remote.md5.into(),
                found,
            });
        }
    }
    part.sync_all().map_err(io)?;
    drop(part);
    fs::rename(&path, &target).map_err(io)
}

/// Transfers the missing part of a file, as long as every attempt gets further than the one before.
fn fill(agent: &Agent, url: &str, part: &mut File) -> Result<(), String> {
    let bar = ProgressBar::no_length().with_message(url.to_string());
    let style = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}";
    bar.set_style(ProgressStyle::with_template(style).expect("The template is well-formed."));

    let mut furthest = length(part)?;
    loop {
        match transfer(agent, url, part, &bar) {
            Ok(()) => {
                bar.finish_and_clear();
                return Ok(());
            }
            Err(reason) => {
                let reached = length(part)?;
                if reached <= furthest {
                    bar.finish_and_clear();
                    return Err(reason);
                }
                log::warn!("{url}: {reason}; resuming from byte {reached}");
                furthest = reached;
            }
        }
    }
}

/// Makes one request for the missing part of a file.
fn transfer(agent: &Agent, url: &str, part: &mut File, bar: &ProgressBar) -> Result<(), String> {
    let mut have = length(part)?;
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| error.to_string())?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT if range_start(&response) == Some(have) => {}
        // The server sent the whole file, or a part that was not requested.
        StatusCode::OK => have = 0,
        StatusCode::PARTIAL_CONTENT => {
            part.set_len(0).map_err(|error| error.to_string())?;
            return Err(format!("the server did not resume from byte {have}"));
        }
        // Nothing is missing: the checksum decides.
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(()),
        status => return Err(format!("the server answered {status}")),
    }
    let lacking = header(&response, CONTENT_LENGTH.as_str()).and_then(|text| text.parse().ok());
    let total = lacking.map(|lacking: u64| have + lacking);
    if let Some(total) = total {
        bar.set_length(total);
    }

    let written = copy(&mut response.into_body().into_reader(), part, have, bar);
    let size = length(part)?;
    match (written, total) {
        (Err(error), _) => Err(format!("after {size} bytes: {error}")),
        (Ok(()), Some(total)) if size != total => Err(format!(
            "the connection closed after {size} of {total} bytes"
        )),
        (Ok(()), _) => Ok(()),
    }
}

fn copy(
    body: &mut impl Read,
    part: &mut File,
    start: u64,
    bar: &ProgressBar,
) -> std::io::Result<()> {
    part.set_len(start)?;
    part.seek(SeekFrom::Start(start))?;
    bar.set_position(start);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match body.read(&mut buffer)? {
            0 => return Ok(()),
            count => {
                part.write_all(&buffer[..count])?;
                bar.inc(count as u64);
            }
        }
    }
}

fn length(file: &File) -> Result<u64, String> {
    file.metadata()
        .map(|metadata| metadata.len())
        .map_err(|error| error.to_string())
}

fn header<'a, B>(response: &'a Response<B>, name: &str) -> Option<&'a str> {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
}

/// Returns the start of a part of a file: 5 for `bytes 5-9/10`.
fn range_start<B>(response: &Response<B>) -> Option<u64> {
    let range = header(response, CONTENT_RANGE.as_str())?;
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .trim()
        .parse()
        .ok()
}

fn checksum(file: &mut File) -> std::io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = Md5::new();
    std::io::copy(file, &mut hasher)?;
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::tests::gzip;
    use crate::source::tests::mnist_files;
    use crate::{DataSource, DatasetName};
    use std::collections::HashMap;
    use std::io::{BufRead, BufReader};
    use std::net::{TcpListener, TcpStream};
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};
    use std::thread;

    /// Reaction of the server to one request.
    #[derive(Clone, Copy)]
    enum Answer {
        /// Sends everything that was requested.
        Whole,
        /// Closes the connection after this number of bytes of the body.
        Cut(usize),
        /// Sends the whole file, whichever part was requested.
        IgnoreRange,
        /// Sends another part than the requested one.
        WrongRange,
        /// Returns an error status.
        Status(&'static str),
    }

    /// A local server that answers a fixed number of requests and then stops.
    struct Server {
        base: &'static str,
        /// The range header of each request.
        ranges: Arc<Mutex<Vec<Option<String>>>>,
    }

    impl Server {
        fn new(files: HashMap<&'static str, Vec<u8>>, answers: Vec<Answer>) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let base = format!("http://{}/", listener.local_addr().unwrap()).leak();
            let ranges = Arc::new(Mutex::new(Vec::new()));
            let seen = ranges.clone();
            thread::spawn(move || {
                for answer in answers {
                    let (stream, _) = listener.accept().unwrap();
                    let (file, range) = request(&stream);
                    respond(stream, &files[file.as_str()], range.as_deref(), answer);
                    seen.lock().unwrap().push(range);
                }
            });
            Self { base, ranges }
        }
    }

    fn request(stream: &TcpStream) -> (String, Option<String>) {
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        let file = lines.next().unwrap().split(' ').nth(1).unwrap()[1..].to_string();
        let range = lines.take_while(|line| !line.is_empty()).find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("range")
                .then(|| value.to_string())
        });
        (file, range)
    }

    fn respond(mut stream: TcpStream, file: &[u8], range: Option<&str>, answer: Answer) {
        let asked = range.map_or(0, |range| {
            range
                .strip_prefix("bytes=")
                .unwrap()
                .strip_suffix('-')
                .unwrap()
                .parse()
                .unwrap()
        });
        let (status, start) = match answer {
            Answer::Status(status) => (status, file.len()),
            Answer::IgnoreRange => ("200 OK", 0),
            Answer::WrongRange => ("206 Partial Content", asked + 1),
            _ if asked >= file.len() => ("416 Range Not Satisfiable", file.len()),
            _ if asked > 0 => ("206 Partial Content", asked),
            _ => ("200 OK", 0),
        };
        let body = &file[start..];
        let sent = match answer {
            Answer::Cut(length) => &body[..length],
            _ => body,
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {start}-/{}\r\n\
             Connection: close\r\n\r\n",
            body.len(),
            file.len()
        )
        .unwrap();
        stream.write_all(sent).unwrap();
    }

    /// Returns a client without a proxy, which could not reach the server.
    fn agent() -> Agent {
        Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into()
    }

    fn md5(bytes: &[u8]) -> &'static str {
        let digest = Md5::digest(bytes);
        digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .leak()
    }

    /// Download of one file.
    struct Case {
        server: Server,
        remote: RemoteFile,
        folder: tempfile::TempDir,
    }

    const CONTENT: &[u8] = b"0123456789";
    const CONTENT_MD5: &str = "781e5e245d69b566979b86e28d23f2c7";

    impl Case {
        fn new(answers: impl Into<Vec<Answer>>) -> Self {
            let files = [("digits.txt", CONTENT.to_vec())].into();
            let server = Server::new(files, answers.into());
            Self {
                remote: RemoteFile {
                    base: server.base,
                    name: "digits.txt",
                    md5: CONTENT_MD5,
                },
                server,
                folder: tempfile::tempdir().unwrap(),
            }
        }

        fn download(&self) -> Result<(), DataError> {
            download(&agent(), &self.remote, self.folder.path())
        }

        fn assert_downloaded(&self, expected: &[Option<&str>]) {
            assert_eq!(fs::read(self.path("digits.txt")).unwrap(), CONTENT);
            assert!(!self.path("digits.txt.part").exists());
            self.assert_requests(expected);
        }

        fn assert_requests(&self, expected: &[Option<&str>]) {
            // The server records a request only after the client has its answer.
            while self.server.ranges.lock().unwrap().len() < expected.len() {
                thread::yield_now();
            }
            let ranges = self.server.ranges.lock().unwrap();
            let ranges: Vec<_> = ranges.iter().map(Option::as_deref).collect();
            assert_eq!(ranges, expected);
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }
    }

    #[test]
    fn a_file_is_downloaded_once() {
        let case = Case::new([Answer::Whole]);

        case.download().unwrap();
        case.download().unwrap();
        case.assert_downloaded(&[None]);
    }

    #[test]
    fn a_truncated_transfer_is_resumed() {
        let case = Case::new([Answer::Cut(4), Answer::Cut(3), Answer::Whole]);

        case.download().unwrap();
        case.assert_downloaded(&[None, Some("bytes=4-"), Some("bytes=7-")]);
    }

    #[test]
    fn the_next_run_resumes_the_transfer() {
        let case = Case::new([Answer::Cut(4), Answer::Cut(0), Answer::Whole]);

        let error = case.download().unwrap_err().to_string();
        assert!(error.contains("after 4 "), "{error}");
        assert!(!case.path("digits.txt").exists());
        assert_eq!(fs::read(case.path("digits.txt.part")).unwrap(), b"0123");

        case.download().unwrap();
        case.assert_downloaded(&[None, Some("bytes=4-"), Some("bytes=4-")]);
    }

    #[test]
    fn a_server_that_cannot_resume_starts_over() {
        let case = Case::new([Answer::Cut(4), Answer::IgnoreRange]);

        case.download().unwrap();
        case.assert_downloaded(&[None, Some("bytes=4-")]);
    }

    #[test]
    fn an_unrequested_part_is_not_used() {
        let case = Case::new([Answer::Cut(4), Answer::WrongRange, Answer::Whole]);

        let error = case.download().unwrap_err().to_string();
        assert!(
            error.contains("the server did not resume from byte 4"),
            "{error}"
        );
        case.download().unwrap();
        case.assert_downloaded(&[None, Some("bytes=4-"), None]);
    }

    #[test]
    fn a_complete_part_needs_only_its_checksum() {
        let case = Case::new([Answer::Whole]);
        fs::write(case.path("digits.txt.part"), CONTENT).unwrap();

        case.download().unwrap();
        case.assert_downloaded(&[Some("bytes=10-")]);
    }

    #[test]
    fn a_wrong_checksum_is_named_and_the_file_discarded() {
        let mut case = Case::new([Answer::Whole, Answer::Whole]);
        case.remote.md5 = "00000000000000000000000000000000";

        let error = case.download().unwrap_err().to_string();
        assert!(
            error.contains("expected the MD5 checksum 00000000"),
            "{error}"
        );
        assert!(error.contains(&format!("found {CONTENT_MD5}")), "{error}");
        assert!(!case.path("digits.txt").exists());

        case.remote.md5 = CONTENT_MD5;
        case.download().unwrap();
        case.assert_downloaded(&[None, None]);
    }

    #[test]
    fn damaged_remains_of_an_earlier_run_are_replaced() {
        let case = Case::new([Answer::Whole, Answer::Whole]);
        fs::write(case.path("digits.txt.part"), b"wrong").unwrap();

        case.download().unwrap();
        case.assert_downloaded(&[Some("bytes=5-"), None]);
    }

    #[test]
    fn an_error_status_is_named() {
        let case = Case::new([Answer::Status("404 Not Found")]);

        let error = case.download().unwrap_err().to_string();
        assert!(
            error.contains("the server answered 404 Not Found"),
            "{error}"
        );
        case.assert_requests(&[None]);
    }

    #[test]
    fn a_server_that_is_down_is_named_with_what_to_do() {
        let case = Case::new([]);

        let error = case.download().unwrap_err().to_string();
        assert!(
            error.starts_with("cannot download http://127.0.0.1:"),
            "{error}"
        );
        let folder = case.folder.path().display();
        let advice = format!(
            "Try again, or put digits.txt into {folder}, or name a folder that holds it with \
             --data-dir"
        );
        assert!(error.ends_with(&advice), "{error}");
    }

    #[test]
    fn every_file_of_a_data_set_is_downloaded_and_loads() {
        let files: Vec<_> = mnist_files(2, 1)
            .map(|(name, bytes)| (name, gzip(&bytes)))
            .into();
        let named = |name: &str| &*format!("{name}.gz").leak();
        let answers = vec![Answer::Whole; 4];
        let contents = files
            .iter()
            .map(|(name, bytes)| (named(name), bytes.clone()))
            .collect();
        let server = Server::new(contents, answers);
        let files: Vec<_> = files
            .iter()
            .map(|(name, bytes)| RemoteFile {
                base: server.base,
                name: named(name),
                md5: md5(bytes),
            })
            .collect();
        let info = DatasetInfo {
            files: files.leak(),
            ..*DatasetName::Mnist.info()
        };
        let cache = tempfile::tempdir().unwrap();

        obtain(&agent(), &info, &cache.path().join("mnist"), || false).unwrap();

        let source = DataSource::default().cache_dir(cache.path());
        assert_eq!(DatasetName::Mnist.load(&source).unwrap().train.len(), 2);
    }

    #[test]
    fn an_archive_is_downloaded_unpacked_and_loads() {
        let bytes = crate::source::archive::tests::cifar10();
        let name = "cifar-10-binary.tar.gz";
        let md5 = md5(&bytes);
        let server = Server::new([(name, bytes)].into(), vec![Answer::Whole]);
        let info = DatasetInfo {
            files: vec![RemoteFile {
                base: server.base,
                name,
                md5,
            }]
            .leak(),
            ..*DatasetName::Cifar10.info()
        };
        let cache = tempfile::tempdir().unwrap();

        obtain(&agent(), &info, &cache.path().join("cifar10"), || false).unwrap();

        let source = DataSource::default().cache_dir(cache.path());
        assert_eq!(
            DatasetName::Cifar10.load(&source).unwrap().train.labels(),
            [1]
        );
        assert!(!cache.path().join("cifar10").join(name).exists());
    }

    #[test]
    fn files_that_another_process_fetched_are_not_fetched_again() {
        let folder = tempfile::tempdir().unwrap();

        obtain(&agent(), DatasetName::Mnist.info(), folder.path(), || true).unwrap();
        assert!(
            !folder
                .path()
                .join("train-images-idx3-ubyte.gz.part")
                .exists()
        );
    }
}
