//! What root makes in the service's folders belongs to whom the folder belongs to: who runs the service opens it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use super::{Setup, StoreError};

/// Gives away what root made in the folders of the store, its keys and its anchor. Nobody else can give anything away.
///
/// # Errors
/// [`StoreError::Folder`].
pub fn give_back(setup: &Setup) -> Result<(), StoreError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let state = &setup.folders.state;
    let anchor = setup.anchor.as_deref().and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let mut folders = vec![state.clone(), state.join("keys"), setup.folders.epoch_keys.clone()];
    folders.extend(anchor.map(Path::to_owned));
    folders
        .iter()
        .try_for_each(|folder| give(folder).map_err(|source| StoreError::Folder { path: folder.clone(), source }))
}

/// Files and folders in it, one level deep. What somebody else put there, and what has another name elsewhere, stays:
/// through a link root would give away what is not here.
fn give(folder: &Path) -> io::Result<()> {
    let owner = match fs::metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta?,
    };
    for entry in fs::read_dir(folder)? {
        let path: PathBuf = entry?.path();
        let meta = fs::symlink_metadata(&path)?;
        let is_plain = meta.is_dir() || (meta.is_file() && meta.nlink() == 1);
        if is_plain && meta.uid() == 0 && owner.uid() != 0 {
            lchown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
    }
    Ok(())
}
