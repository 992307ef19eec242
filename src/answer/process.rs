//! What this process takes of the machine, as the kernel counts it. Where it does not say so, it is 0.

use std::fs;

/// Bytes in memory (`VmRSS`).
pub(super) fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes << 10)
}

/// Files that are open, sockets among them.
pub(super) fn open_files() -> usize {
    // But for the folder that is read.
    fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_opened_is_counted_and_memory_is_bytes() {
        let before = open_files();
        let open: Vec<_> = (0..500).map(|_| fs::File::open("/proc/self/status").unwrap()).collect();
        // Other tests open and close files meanwhile.
        assert!((before + 400..before + 600).contains(&open_files()), "{before}, {}", open_files());
        drop(open);
        assert!((1 << 20..1 << 36).contains(&resident_bytes()), "{}", resident_bytes());
    }
}
