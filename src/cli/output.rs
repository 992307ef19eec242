//! Output files that are whole or absent, and progress that suits a terminal as well as a log.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use tempfile::NamedTempFile;

/// A file under its final name only once it is complete: an error leaves nothing behind.
pub struct Output {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl Output {
    /// Opens a hidden file beside `path`.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = NamedTempFile::new_in(folder).with_context(|| format!("cannot write into {}", folder.display()))?;
        Ok(Self { file: BufWriter::new(file), path: path.to_owned() })
    }

    /// Gives the file its name, after everything is on the disk.
    ///
    /// # Errors
    /// If it cannot be written to the end.
    pub fn finish(self) -> anyhow::Result<()> {
        let failed = || format!("cannot write {}", self.path.display());
        let file = self.file.into_inner().map_err(|error| error.into_error()).with_context(failed)?;
        file.as_file().sync_all().with_context(failed)?;
        file.persist(&self.path).with_context(failed)?;
        Ok(())
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
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        Output::create(&path).unwrap().finish().unwrap();
        assert!(path.exists());
    }
}
