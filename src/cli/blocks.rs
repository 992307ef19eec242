//! Large outputs past the page cache.

use std::fs::File;
use std::io::{self, ErrorKind, Write};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::output::Output;

/// Where blocks begin in memory and in the file, in bytes: no disk of today wants it coarser.
const ALIGNED: usize = 4096;

/// Bytes of a block.
const BLOCK: usize = 1 << 20;

/// Writes an output in blocks that go from here to the disk, where the file system can do that (`O_DIRECT`). The output
/// is on the disk before it has its name: the page cache would only be a copy on the way, which was a tenth of the encoder's
/// time. What is no whole block goes through the cache.
pub struct Blocks<'a> {
    out: &'a mut Output,
    memory: Vec<u8>,
    begin: usize,
    filled: usize,
}

impl<'a> Blocks<'a> {
    /// From the place on that the output has.
    ///
    /// # Errors
    /// If what it has cannot be written.
    pub fn of(out: &'a mut Output) -> io::Result<Self> {
        let memory = vec![0; BLOCK + ALIGNED];
        let begin = memory.as_ptr().align_offset(ALIGNED);
        set_direct(out.flushed()?, true);
        Ok(Self { out, memory, begin, filled: 0 })
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn add(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.memory[self.begin + self.filled..][..now.len()].copy_from_slice(now);
            self.filled += now.len();
            bytes = later;
            if self.filled == BLOCK {
                write(self.out.flushed()?, &self.memory[self.begin..][..BLOCK])?;
                self.filled = 0;
            }
        }
        Ok(())
    }

    /// Gives the rest to the output.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(self) -> io::Result<()> {
        set_direct(self.out.flushed()?, false);
        self.out.write_all(&self.memory[self.begin..][..self.filled])
    }
}

/// Writes it all. What the file system does not take past the cache, it takes through it.
fn write(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_refused(&error) && set_direct(file, false) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the file system does not write past the cache, or not at this place.
fn is_refused(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::OPNOTSUPP].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Whether the way was changed.
fn set_direct(file: &File, direct: bool) -> bool {
    let Ok(flags) = fcntl_getfl(file) else { return false };
    let mut wanted = flags;
    wanted.set(OFlags::DIRECT, direct);
    wanted != flags && fcntl_setfl(file, wanted).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::OpenOptionsExt;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn blocks_go_past_the_cache_where_the_file_system_can() {
        let folder = tempfile::tempdir().unwrap();
        let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap();
        let other = folder.path().join("other");
        let can = OpenOptions::new().write(true).create_new(true).custom_flags(direct).open(other).is_ok();
        let mut out = Output::create(&folder.path().join("codes.ndjson")).unwrap();
        let mut blocks = Blocks::of(&mut out).unwrap();
        let is_direct =
            |blocks: &mut Blocks| fcntl_getfl(blocks.out.flushed().unwrap()).unwrap().contains(OFlags::DIRECT);
        assert_eq!(is_direct(&mut blocks), can);
        blocks.add(&vec![1; 2 * BLOCK + 1]).unwrap();
        assert_eq!(is_direct(&mut blocks), can, "no block was refused");
        blocks.finish().unwrap();
        assert!(!fcntl_getfl(out.flushed().unwrap()).unwrap().contains(OFlags::DIRECT));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_is_added_is_in_the_file(
            pieces in prop::collection::vec((0..BLOCK + BLOCK / 3, any::<u8>()), 0..5),
            aligned in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("codes.ndjson");
            let mut out = Output::create(&path).unwrap();
            let before = if aligned { &b""[..] } else { b"before" };
            out.write_all(before).unwrap();
            let (mut blocks, mut want) = (Blocks::of(&mut out).unwrap(), before.to_vec());
            for (length, byte) in pieces {
                let piece: Vec<u8> = (0..length).map(|at| byte.wrapping_add((at % 251) as u8)).collect();
                blocks.add(&piece).unwrap();
                want.extend(piece);
            }
            blocks.finish().unwrap();
            out.overwrite(0, &before.to_ascii_uppercase()).unwrap();
            out.write_all(b"behind").unwrap();
            out.finish().unwrap();
            want[..before.len()].make_ascii_uppercase();
            want.extend(b"behind");
            prop_assert!(std::fs::read(&path).unwrap() == want);
        }
    }
}
