//! Output files that are whole or absent, and progress that suits a terminal as well as a log.

use std::fmt::Arguments;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, IsTerminal, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use tempfile::{Builder, NamedTempFile};

use super::there::{at_end_of_links, folder_of, refuse_secret};

/// A file under its final name only once it is complete: an error leaves nothing behind, nor does an end by a signal. A
/// pipe or a device is written as it goes, and a link is followed.
pub struct Output {
    file: BufWriter<Place>,
    path: PathBuf,
}

/// Where an output is until it is whole.
enum Place {
    /// A file without a name, of which nothing stays if the process is ended.
    Nameless(File),
    /// A hidden file, where the file system knows no files without names.
    Hidden(NamedTempFile),
    /// What is there and no file: nothing of it can be replaced.
    Straight(File),
}

impl Place {
    fn file(&mut self) -> &mut File {
        match self {
            Self::Nameless(file) | Self::Straight(file) => file,
            Self::Hidden(file) => file.as_file_mut(),
        }
    }
}

impl Write for Place {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.file().flush()
    }
}

/// The first thing that could not be printed.
static UNPRINTED: OnceLock<std::io::Error> = OnceLock::new();

/// Prints. What cannot be printed changes nothing of what the command does; [`printed`] says so at its end.
pub fn print(text: Arguments<'_>) {
    note(std::io::stdout().write_fmt(text));
}

/// A reader that has enough has all that it wants.
fn note(written: std::io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        UNPRINTED.get_or_init(|| error);
    }
}

/// Whether everything was printed.
///
/// # Errors
/// If the standard output cannot be written: a full disk, for example.
pub fn printed() -> anyhow::Result<()> {
    note(std::io::stdout().flush());
    match UNPRINTED.get() {
        Some(error) => bail!("cannot write to standard output: {error}; what the command does was done"),
        None => Ok(()),
    }
}

/// Says it on standard error. Where that cannot be written there is nowhere to say so.
pub fn tell(text: Arguments<'_>) {
    drop(std::io::stderr().write_fmt(text));
}

impl Output {
    /// Opens a file in the folder of `path`, or what stands there if it is a pipe or a device.
    ///
    /// # Errors
    /// If the folder cannot be written, or a key or salt is there.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let (path, named) = (at_end_of_links(path), path);
        let place = match fs::metadata(named) {
            Ok(there) if !there.is_file() => {
                let opened = OpenOptions::new().write(true).open(named);
                Place::Straight(opened.with_context(|| format!("cannot write to {}", named.display()))?)
            }
            _ => {
                refuse_secret(&path)?;
                new_in(folder_of(&path)).with_context(|| format!("cannot write into {}", folder_of(&path).display()))?
            }
        };
        Ok(Self { file: BufWriter::new(place), path })
    }

    /// For a file whose beginning is known at its end: what cannot be written twice is refused.
    ///
    /// # Errors
    /// If it is a pipe or a terminal.
    pub fn in_any_order(mut self) -> anyhow::Result<Self> {
        let again = self.file.get_mut().file().stream_position();
        again.with_context(|| {
            format!("{} has a MAC at its beginning that is known at its end; write to a file", self.path.display())
        })?;
        Ok(self)
    }

    /// The file itself, to which everything is written that the output had.
    pub(super) fn flushed(&mut self) -> std::io::Result<&mut File> {
        self.file.flush()?;
        Ok(self.file.get_mut().file())
    }

    /// Writes over bytes that are there already; what comes next goes to the end as before.
    ///
    /// # Errors
    /// If it cannot be written; always for a pipe.
    pub fn overwrite(&mut self, at: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.flushed().and_then(|file| {
            file.seek(SeekFrom::Start(at))?;
            file.write_all(bytes)?;
            file.seek(SeekFrom::End(0))
        });
        written.map(drop).with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Gives the file its name, after everything is on the disk.
    ///
    /// # Errors
    /// If it cannot be written to the end.
    pub fn finish(self) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        match self.file.into_inner().map_err(|error| error.into_error()).with_context(failed)? {
            // A pipe and a terminal have no disk.
            Place::Straight(_) => {}
            Place::Hidden(file) => {
                file.as_file().sync_all().with_context(failed)?;
                file.persist(&self.path).with_context(failed)?;
            }
            Place::Nameless(file) => {
                file.sync_all().with_context(failed)?;
                // No name can be given that is there already, but one that replaces it.
                let open_file = format!("/proc/self/fd/{}", file.as_raw_fd());
                let link = |name: &Path| Ok(linkat(CWD, &*open_file, CWD, name, AtFlags::SYMLINK_FOLLOW)?);
                let linked = Builder::new().make_in(folder_of(&self.path), link).with_context(failed)?;
                linked.into_temp_path().persist(&self.path).with_context(failed)?;
            }
        }
        Ok(())
    }
}

fn new_in(folder: &Path) -> std::io::Result<Place> {
    let mode = Mode::RUSR | Mode::WUSR;
    match open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode) {
        Ok(file) if Path::new("/proc/self/fd").exists() => Ok(Place::Nameless(file.into())),
        _ => NamedTempFile::new_in(folder).map(Place::Hidden),
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// Finishes a CSV file.
///
/// # Errors
/// As [`Output::finish`].
pub fn finish_csv(writer: csv::Writer<Output>) -> anyhow::Result<()> {
    writer.into_inner().map_err(|error| anyhow::anyhow!("cannot write: {}", error.error()))?.finish()
}

/// Below this many steps nobody has to wait.
const WORTH_A_LINE: usize = 5000;

/// A progress bar on a terminal; elsewhere a line every ten per cent of a long run.
pub fn bar(total: usize, what: &str) -> Progress {
    let style = ProgressStyle::with_template("  {msg:28} {wide_bar} {pos}/{len} {eta}").expect("a valid template");
    let bar = ProgressBar::new(total as u64).with_style(style);
    bar.set_message(what.to_owned());
    let plain = !std::io::stderr().is_terminal() && total >= WORTH_A_LINE;
    Progress { bar, total, done: AtomicUsize::new(0), plain, what: what.to_owned() }
}

/// Shows how far a run has come. Threads may share it.
pub struct Progress {
    bar: ProgressBar,
    total: usize,
    done: AtomicUsize,
    plain: bool,
    what: String,
}

impl Progress {
    /// One step more is done.
    pub fn step(&self) {
        self.bar.inc(1);
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(line) = self.line(done) {
            eprintln!("{line}");
        }
    }

    /// The line at this step, if it has one.
    fn line(&self, done: usize) -> Option<String> {
        let tenth = self.total.div_ceil(10);
        let now = self.plain && (done.is_multiple_of(tenth) || done == self.total);
        now.then(|| format!("  {}: {done} of {}", self.what, self.total))
    }

    /// The same items, each a step.
    pub fn over<I: Iterator>(self, items: I) -> impl Iterator<Item = I::Item> {
        items.inspect(move |_| self.step())
    }
}

/// Below this many bytes nobody has to wait.
const WORTH_BYTES: u64 = 1 << 20;

/// A progress bar over a file of so many bytes, with the rate in rows; elsewhere than on a terminal a line every ten
/// per cent of a large file. Of a pipe, which has no size, nothing is shown.
pub fn file_bar(bytes: u64, what: &str) -> FileProgress {
    let style = ProgressStyle::with_template("  {msg:40} {wide_bar} {percent} % {eta}").expect("a valid template");
    let bar = if bytes == 0 { ProgressBar::hidden() } else { ProgressBar::new(bytes).with_style(style) };
    let plain = !std::io::stderr().is_terminal() && bytes >= WORTH_BYTES;
    FileProgress { bar, bytes, tenths: 0, plain, what: what.to_owned(), start: Instant::now() }
}

/// Shows how far a file was read.
pub struct FileProgress {
    bar: ProgressBar,
    bytes: u64,
    tenths: u64,
    plain: bool,
    what: String,
    start: Instant,
}

impl FileProgress {
    /// So many bytes are read, and so many rows are done.
    pub fn at(&mut self, read: u64, rows: u64) {
        let rate = rows as f64 / self.start.elapsed().as_secs_f64().max(1e-6);
        self.bar.set_message(format!("{}: {rows} rows, {rate:.0}/s", self.what));
        self.bar.set_position(read);
        if let Some(line) = self.line(read, rows, rate) {
            eprintln!("{line}");
        }
    }

    /// The line at this place, if another tenth is done.
    fn line(&mut self, read: u64, rows: u64, rate: f64) -> Option<String> {
        let tenths = (read * 10).checked_div(self.bytes)?;
        let now = self.plain && tenths > self.tenths;
        self.tenths = tenths;
        now.then(|| format!("  {}: {rows} rows, {} %, {rate:.0} rows/s", self.what, tenths * 10))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_long_run_without_a_terminal_has_a_line_every_tenth() {
        let progress = Progress { plain: true, ..bar(20_000, "loading") };
        let lines: Vec<_> = (1..=20_000).filter_map(|done| progress.line(done)).collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[0], "  loading: 2000 of 20000");
        let silent = Progress { plain: false, ..bar(20_000, "loading") };
        assert!((1..=20_000).all(|done| silent.line(done).is_none()));
    }

    #[test]
    fn a_large_file_without_a_terminal_has_a_line_every_tenth_with_the_rate() {
        let mut progress = FileProgress { plain: true, ..file_bar(1000, "encoding") };
        let lines: Vec<_> = (1..=1000).filter_map(|read| progress.line(read, read / 2, 7.0)).collect();
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[9], "  encoding: 500 rows, 100 %, 7 rows/s");
        let mut pipe = FileProgress { plain: true, ..file_bar(0, "encoding") };
        assert_eq!(pipe.line(10, 1, 7.0), None);
    }

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut output = Output::create(&path).unwrap();
        output.write_all(b"half").unwrap();
        drop(output);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        Output::create(&path).unwrap().finish().unwrap();
        assert!(path.exists());
    }

    fn write(path: &Path, text: &str) {
        let mut output = Output::create(path).unwrap();
        output.write_all(text.as_bytes()).unwrap();
        output.finish().unwrap();
    }

    #[test]
    fn a_file_replaces_the_one_before_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        for text in ["a long first text", "short"] {
            write(&path, text);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "codes are for nobody else");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("far")).unwrap();
        let (link, target) = (folder.path().join("link.csv"), folder.path().join("far/out.csv"));
        std::os::unix::fs::symlink("far/out.csv", &link).unwrap();
        for text in ["new", "again"] {
            write(&link, text);
            assert!(link.is_symlink());
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
        }
    }

    #[test]
    fn a_pipe_gets_what_is_written_and_stays_a_pipe() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let reader = std::thread::spawn({
            let path = path.clone();
            move || fs::read_to_string(path).unwrap()
        });
        write(&path, "row\n");
        assert_eq!(reader.join().unwrap(), "row\n");
        assert!(!fs::metadata(&path).unwrap().is_file());
    }
}
