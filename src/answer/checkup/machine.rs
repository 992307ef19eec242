//! What the machine gives: addresses, room, and files that only the service reads.

use std::fs::{self, Metadata};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Area, Finding, chain};
use crate::answer::StartError;
use crate::config::{Config, Shipped};

/// Below this nothing is sure to be written; below ten times as much somebody should look.
const LEAST_BYTES: u64 = 64 << 20;
const LEAST_KEY_BYTES: u64 = 1 << 20;
const FEW: u64 = 10;
/// Files besides those of connections: the database, the document's and the internal listener, handshakes under way.
const OTHER_FILES: u64 = 1024;

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
    let (mut bound, mut found) = (Vec::new(), Vec::new());
    for (address, key) in all.into_iter().filter_map(|(address, key)| Some((address?, key))) {
        found.push(match TcpListener::bind(address) {
            Ok(listener) => {
                // Open until all are: a service needs them at once.
                bound.push((listener, address, key));
                Finding::fine(Area::Listener, "address_free", format!("{address} is free for {key}"))
            }
            Err(source) => {
                let ours = bound.iter().find(|(_, other, _)| other.port() == address.port());
                let ours = ours.map_or_else(String::new, |(.., other)| format!("; `{other}` has the same port"));
                let error = StartError::Listen { address, key, source };
                Finding::error(Area::Listener, "cannot_listen", chain(&error) + &ours)
            }
        });
    }
    found
}

/// Whether every connection that is let in finds a file, and what the service reads and writes besides does too: a
/// party must not be able to take the last one. Raises its own limit as far as it may.
pub(super) fn files(config: &Config, runs_by_itself: bool) -> Finding {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where that is not allowed, what there is counts.
        let _kept = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
    let has = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let needs = config.limits.connections as u64 + OTHER_FILES;
    if has < needs {
        let detail = format!(
            "{has} files may be open and limits.connections needs {needs}: one party could take the last one; raise \
             the hard limit (LimitNOFILE of the unit, ulimit -n), or let fewer connections in"
        );
        // The limit of whoever looks beside the service is perhaps not the service's.
        let told = if runs_by_itself { Finding::error } else { Finding::warning };
        told(Area::Listener, "open_files", detail)
    } else {
        Finding::fine(Area::Listener, "open_files_suffice", format!("{has} files may be open, {needs} are needed"))
    }
}

/// Whether keys and folders are for the service only, and keys of epochs apart from the database.
pub(super) fn permissions(config: &Config, runs_by_itself: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    let key = "0600, or 0640 with a group that nobody is in";
    let database = config.state.join("voorrang.db");
    let folders = [(&config.state, "0700"), (&config.epoch_keys, "0700")];
    let files = [(&config.tls.key, key), (&database, "0600")].into_iter().chain(folders);
    for (path, mode) in files {
        let is_open = mode_of(path).is_some_and(|mode| mode & 0o077 != 0 && mode != 0o440);
        if is_open && !(path == &config.tls.key && is_for_the_service(path)) {
            let detail = format!("{} can be read by others: set mode {mode}", path.display());
            found.push(Finding::warning(Area::Permissions, "open_to_others", detail));
        }
    }
    let written = config.file.iter().chain([&config.tls.certificate, &config.tls.client_roots]).chain(&config.tls.crls);
    for path in written.filter(|path| mode_of(path).is_some_and(|mode| mode & 0o002 != 0)) {
        let detail = format!("{} can be changed by everybody: set mode 0644", path.display());
        found.push(Finding::warning(Area::Permissions, "writable_by_others", detail));
    }
    found.extend(changeable(config));
    found.extend(unwritable(config, &database, runs_by_itself));
    if config.state.starts_with("/etc") {
        let detail = "state is below /etc, where a unit's environment names another folder: let the file say the same, \
                      or commands by hand look elsewhere";
        found.push(Finding::warning(Area::Permissions, "state_in_etc", detail));
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

/// What says which law holds, or remembers the log, and can be changed by everybody; with the folders of it.
fn changeable(config: &Config) -> Vec<Finding> {
    let anchor = &config.access_log.anchor;
    let mut all: Vec<&Path> = [anchor.as_path()].into_iter().chain(anchor.parent()).collect();
    for witnessed in &config.access_log.witnessed {
        all.extend([witnessed.as_path()].into_iter().chain(witnessed.parent()));
    }
    let mut all: Vec<PathBuf> = all.into_iter().map(Path::to_owned).collect();
    for place in &config.regulations {
        let Shipped::Path(folder) = place else { continue };
        let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
        all.extend([folder.clone()].into_iter().chain(files));
    }
    all.dedup();
    let is_open = |path: &&PathBuf| {
        let sticky_folder = |mode: u32| mode & 0o1000 != 0;
        mode_of(path).is_some_and(|mode| mode & 0o002 != 0)
            && !fs::metadata(path).is_ok_and(|meta| sticky_folder(meta.permissions().mode()))
    };
    let told = all.iter().filter(is_open).map(|path| {
        let detail = format!("{} can be changed by everybody: take that from them (chmod o-w)", path.display());
        Finding::warning(Area::Permissions, "writable_by_others", detail)
    });
    told.collect()
}

/// What the service writes and may not. Root may all: then it is asked of the owner of the state folder, who runs the
/// service, unless this is the service itself.
fn unwritable(config: &Config, database: &Path, runs_by_itself: bool) -> Vec<Finding> {
    let is_root = rustix::process::geteuid().is_root();
    let owner = fs::metadata(&config.state).ok().map(|meta| (meta.uid(), meta.gid()));
    let may_write = |path: &Path| match owner {
        _ if is_root && runs_by_itself => true,
        Some(owner) if is_root => fs::metadata(path).is_ok_and(|meta| is_writable(&meta, owner)),
        _ => rustix::fs::access(path, Access::WRITE_OK).is_ok(),
    };
    let anchor = &config.access_log.anchor;
    let anchor = anchor.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let keys = config.state.join("keys");
    let grade = |about| if about { Finding::error } else { Finding::warning };
    // Without the folder of wrapping keys the service answers; only an epoch is not begun or ended.
    let all =
        [(config.state.as_path(), true), (database, true), (&keys, true), (anchor, true), (&config.epoch_keys, false)];
    let nearest = |path: &Path| path.ancestors().find(|path| path.exists()).unwrap_or(Path::new(".")).to_owned();
    let mut all: Vec<(PathBuf, bool)> = all.map(|(path, needed)| (nearest(path), needed)).into();
    all.dedup();
    let told = all.into_iter().filter(|(path, _)| !may_write(path)).map(|(path, needed)| {
        let detail = format!("{} is not writable for the service's user: give it to that user", path.display());
        grade(needed)(Area::Permissions, "not_writable", detail)
    });
    told.collect()
}

fn is_writable(meta: &Metadata, (user, group): (u32, u32)) -> bool {
    let bit = if meta.uid() == user {
        0o200
    } else if meta.gid() == group {
        0o020
    } else {
        0o002
    };
    user == 0 || meta.mode() & bit != 0
}

/// Whether a file can be read by its owner and by a group that nobody is in: whoever has that group was given it, as the
/// unit gives it to the service. So the service reads a key that it cannot change, also when it is a new one.
fn is_for_the_service(path: &Path) -> bool {
    let (groups, users) = (fs::read_to_string("/etc/group"), fs::read_to_string("/etc/passwd"));
    let (Ok(meta), Ok(groups), Ok(users)) = (fs::metadata(path), groups, users) else { return false };
    meta.mode() & 0o037 == 0 && is_nobody_s(meta.gid(), &groups, &users)
}

/// Whether the group is known, and has no member by name and none by being that user's own.
fn is_nobody_s(group: u32, groups: &str, users: &str) -> bool {
    let number = group.to_string();
    let is = |line: &&str, at: usize| line.split(':').nth(at) == Some(&number);
    let members = groups.lines().find(|line| is(line, 2)).and_then(|line| line.split(':').nth(3));
    members == Some("") && !users.lines().any(|line| is(&line, 3))
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
    // A register takes room; a key or a checkpoint is a file of some hundred bytes.
    for (key, path, least) in [
        ("state", &config.state, LEAST_BYTES),
        ("epoch_keys", &config.epoch_keys, LEAST_KEY_BYTES),
        ("access_log.anchor", &config.access_log.anchor, LEAST_KEY_BYTES),
    ] {
        let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        // What has no size, such as /proc, is found out by the store.
        let Some(volume) = rustix::fs::statvfs(there).ok().filter(|volume| volume.f_blocks > 0) else { continue };
        found.push(room(key, volume.f_bavail.saturating_mul(volume.f_frsize), least));
    }
    found
}

fn room(key: &str, free: u64, least: u64) -> Finding {
    let detail = format!("{} MiB are free for {key}", free >> 20);
    if free < least {
        Finding::error(Area::Disk, "disk_full", format!("{detail}: make room, nothing is answered without it"))
    } else if free < FEW * least {
        Finding::warning(Area::Disk, "disk_nearly_full", format!("{detail}: make room soon"))
    } else {
        Finding::fine(Area::Disk, "disk", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_nobody_s_where_neither_list_has_anybody_in_it() {
        let groups = "root:x:0:\nssl:x:101:somebody\nvoorrang-tls:x:102:\nusers:x:103:\n";
        let users = "root:x:0:0:root:/root:/bin/sh\nsomebody:x:102:103::/:/bin/sh\n";
        let found: Vec<_> =
            [0, 101, 102, 103, 104].into_iter().filter(|gid| is_nobody_s(*gid, groups, users)).collect();
        assert_eq!(found, [102], "neither one with members, nor a user's own, nor one that is in no list");
    }

    #[test]
    fn little_room_is_a_warning_and_none_an_error() {
        let code = |free| room("state", free, LEAST_BYTES).code;
        assert_eq!(
            (code(LEAST_BYTES - 1), code(LEAST_BYTES), code(FEW * LEAST_BYTES)),
            ("disk_full", "disk_nearly_full", "disk")
        );
    }
}
