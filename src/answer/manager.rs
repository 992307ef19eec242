//! What the service manager is told, where it listens (systemd's `sd_notify`): that questions are answered from now on, that
//! files are read anew, that the service stops.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where it listens: a path, or with `@` in front an abstract name.
const SOCKET: &str = "NOTIFY_SOCKET";

/// What it hears.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Ready,
    Reloading,
    Stopping,
}

/// Tells it. A manager that cannot be told keeps nobody from an answer.
pub(super) fn tell(told: Told) {
    if let Some(Err(error)) = env::var_os(SOCKET).map(|place| send(&place, told)) {
        tracing::warn!(%error, ?told, "the service manager cannot be told");
    }
}

fn send(place: &OsStr, told: Told) -> io::Result<()> {
    let address = match place.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(place)?,
    };
    let word: &[u8] = match told {
        Told::Ready => b"READY=1",
        Told::Reloading => b"RELOADING=1",
        Told::Stopping => b"STOPPING=1",
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(word, &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("voorrang-{}", std::process::id());
        for (place, heard) in [
            (path.clone().into_os_string(), UnixDatagram::bind(&path)),
            (format!("@{name}").into(), UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap())),
        ] {
            let heard = heard.unwrap();
            for (told, word) in
                [(Told::Ready, "READY=1"), (Told::Reloading, "RELOADING=1"), (Told::Stopping, "STOPPING=1")]
            {
                send(&place, told).unwrap();
                let mut bytes = [0; 32];
                let length = heard.recv(&mut bytes).unwrap();
                assert_eq!(std::str::from_utf8(&bytes[..length]).unwrap(), word);
            }
        }
        assert!(send(OsStr::new("/nowhere/notify"), Told::Ready).is_err());
    }
}
