//! What the machine gives: addresses, room, and files that only the service reads.

use std::fs::{self, Metadata};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::{Area, Finding, chain};
use crate::answer::StartError;
use crate::config::Config;

/// Below this nothing is sure to be written; below ten times as much somebody should look.
const LEAST_BYTES: u64 = 64 << 20;
const FEW_BYTES: u64 = 10 * LEAST_BYTES;

/// Whether the service can listen where it is told to. One that runs does so already.
pub(super) fn listeners(config: &Config, runs: bool) -> Vec<Finding> {
    if runs {
        return vec![Finding::fine(Area::Listener, "service_runs", "the service runs on this state folder")];
    }
    let all = [
        (Some(config.listen), "listen"),
        (config.documentation.address(), "documentation.listen"),
        (config.internal.address(), "internal.listen"),
    ];
    all.into_iter().filter_map(|(address, key)| Some(listener(address?, key))).collect()
}

fn listener(address: SocketAddr, key: &'static str) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => Finding::fine(Area::Listener, "address_free", format!("{address} is free for {key}")),
        Err(source) => {
            let error = StartError::Listen { address, key, source };
            Finding::error(Area::Listener, "cannot_listen", chain(&error))
        }
    }
}

/// Whether keys and folders are for the service only, and keys of epochs apart from the database.
pub(super) fn permissions(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    let files = [(&config.tls.key, "0600"), (&config.state, "0700"), (&config.epoch_keys, "0700")];
    for (path, mode) in files {
        if mode_of(path).is_some_and(|mode| mode & 0o077 != 0 && mode != 0o440) {
            let detail = format!("{} can be read by others: set mode {mode}", path.display());
            found.push(Finding::warning(Area::Permissions, "open_to_others", detail));
        }
    }
    let written = config.file.iter().chain([&config.tls.certificate, &config.tls.client_roots]).chain(&config.tls.crls);
    for path in written.filter(|path| mode_of(path).is_some_and(|mode| mode & 0o002 != 0)) {
        let detail = format!("{} can be changed by everybody: set mode 0644", path.display());
        found.push(Finding::warning(Area::Permissions, "writable_by_others", detail));
    }
    if found.is_empty() {
        found.push(Finding::fine(Area::Permissions, "permissions", "keys and folders are for the service only"));
    }
    let device = |path: &Path| nearest(path).map(|there| there.dev());
    if device(&config.epoch_keys).is_some_and(|keys| Some(keys) == device(&config.state)) {
        let detail = "epoch_keys and state lie on one volume: an image of it holds a register and the key to it; give \
                      epoch_keys another";
        found.push(Finding::warning(Area::Permissions, "keys_beside_database", detail));
    }
    found
}

fn mode_of(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|meta| meta.permissions().mode() & 0o777)
}

/// The path, or what of it is there already.
fn nearest(path: &Path) -> Option<Metadata> {
    path.ancestors().find_map(|path| fs::metadata(path).ok())
}

/// Room on the volume of each folder that is written.
pub(super) fn disk(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    for (key, path) in
        [("state", &config.state), ("epoch_keys", &config.epoch_keys), ("access_log.anchor", &config.access_log.anchor)]
    {
        let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        // What has no size, such as /proc, is found out by the store.
        let Some(volume) = rustix::fs::statvfs(there).ok().filter(|volume| volume.f_blocks > 0) else { continue };
        found.push(room(key, volume.f_bavail.saturating_mul(volume.f_frsize)));
    }
    found
}

fn room(key: &str, free: u64) -> Finding {
    let detail = format!("{} MiB are free for {key}", free >> 20);
    if free < LEAST_BYTES {
        Finding::error(Area::Disk, "disk_full", format!("{detail}: make room, nothing is answered without it"))
    } else if free < FEW_BYTES {
        Finding::warning(Area::Disk, "disk_nearly_full", format!("{detail}: make room soon"))
    } else {
        Finding::fine(Area::Disk, "disk", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_room_is_a_warning_and_none_an_error() {
        let code = |free| room("state", free).code;
        assert_eq!(
            (code(LEAST_BYTES - 1), code(LEAST_BYTES), code(FEW_BYTES)),
            ("disk_full", "disk_nearly_full", "disk")
        );
    }
}
