//! Files that are left behind: looked at before the work, and written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{Access, access};

use crate::console;

/// Links that are followed: more are a circle.
const LINKS_MAX: usize = 40;

/// Where the bytes of a path end up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// `-`, or the device of that meaning.
    Stdout,
    /// A pipe or a device, which cannot be replaced: written where it is.
    InPlace(PathBuf),
    /// A file, there or not, with all links followed: written beside and renamed.
    Replaced(PathBuf),
}

/// Whether a path means standard output.
#[must_use]
pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-" || path.as_os_str() == "/dev/stdout"
}

/// Finds out where a path leads, and whether it could be written now: hours of work should not end in a typing error.
///
/// # Errors
/// Why not, in words that follow the path.
pub fn check(path: &Path) -> Result<Destination, String> {
    let destination = find(path)?;
    match &destination {
        Destination::Stdout => {}
        Destination::InPlace(path) => writable(path)?,
        Destination::Replaced(file) => {
            if file.exists() {
                writable(file)?;
            }
            try_beside(file)?;
        }
    }
    Ok(destination)
}

/// Writes a file: whoever watches it never sees half of it.
///
/// # Errors
/// What the system says.
pub fn save(path: &Path, bytes: &[u8]) -> Result<(), String> {
    let said = |error: io::Error| error.to_string();
    match find(path)? {
        Destination::Stdout => console::print(bytes).map_err(said),
        Destination::InPlace(path) => fs::write(path, bytes).map_err(said),
        Destination::Replaced(file) => replace(&file, bytes).map_err(said),
    }
}

fn find(path: &Path) -> Result<Destination, String> {
    if is_stdout(path) {
        return Ok(Destination::Stdout);
    }
    let name = path.as_os_str().as_bytes();
    if name.is_empty() {
        return Err("this names no file".to_owned());
    }
    match fs::metadata(path) {
        _ if name.ends_with(b"/") => {
            Err("this names a folder, for it ends with /: name a file in it".to_owned())
        }
        Ok(kind) if kind.is_dir() => Err("this is a folder, name a file in it".to_owned()),
        Ok(kind) if !kind.is_file() => Ok(Destination::InPlace(path.to_owned())),
        Ok(_) => fs::canonicalize(path).map(Destination::Replaced).map_err(|error| error.to_string()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            new_file(path).map(Destination::Replaced)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// A file that is not there yet; its name may be a link to where it is to be.
fn new_file(path: &Path) -> Result<PathBuf, String> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        let folder = folder_of(&path);
        let real = folder.canonicalize().map_err(|_| format!("there is no folder {}", folder.display()))?;
        if !real.is_dir() {
            return Err(format!("there is no folder {}", folder.display()));
        }
        let Some(name) = path.file_name() else { return Err("this names no file".to_owned()) };
        let file = real.join(name);
        match fs::read_link(&file) {
            Ok(target) => path = real.join(target),
            Err(_) => return Ok(file),
        }
    }
    Err("this is a link to itself".to_owned())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn writable(path: &Path) -> Result<(), String> {
    access(path, Access::WRITE_OK).map_err(|error| format!("this cannot be written: {error}"))
}

/// Only trying tells: root may do everything, and yet not write to `/proc` or to a disk that is read-only.
fn try_beside(file: &Path) -> Result<(), String> {
    let tried = beside(file).and_then(|(path, _)| fs::remove_file(path));
    tried.map_err(|error| format!("no file can be made in {}: {error}", folder_of(file).display()))
}

fn replace(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let (path, mut beside) = beside(file)?;
    let written = beside.write_all(bytes).and_then(|()| fs::rename(&path, file));
    written.inspect_err(|_| drop(fs::remove_file(&path)))
}

/// A new file in the folder of another.
fn beside(file: &Path) -> io::Result<(PathBuf, File)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = folder_of(file).join(format!(".loadgen-{}-{number}.part", std::process::id()));
    let opened = OpenOptions::new().write(true).create_new(true).open(&path)?;
    Ok((path, opened))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own, gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("loadgen-outfile-{}-{name}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).unwrap();
            Self(path.canonicalize().unwrap())
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_look_leaves_nothing_and_a_file_is_written_whole() {
        let folder = Folder::new("whole");
        let file = folder.0.join("a.json");
        assert_eq!(check(&file), Ok(Destination::Replaced(file.clone())));
        assert!(folder.names().is_empty(), "{:?}", folder.names());
        save(&file, b"one").unwrap();
        save(&file, b"two").unwrap();
        assert_eq!((fs::read(&file).unwrap(), folder.names()), (b"two".to_vec(), vec!["a.json".to_owned()]));
    }

    #[test]
    fn what_cannot_be_written_is_known_before() {
        let folder = Folder::new("wrong");
        let file = folder.0.join("there");
        fs::write(&file, "x").unwrap();
        let slash = format!("{}/new/", folder.0.display());
        let inside = file.join("x.json");
        for (path, words) in [
            ("/proc/x.json", "no file can be made in /proc"),
            ("/nowhere/x.json", "no folder /nowhere"),
            ("", "no file"),
            (folder.0.to_str().unwrap(), "this is a folder"),
            (&slash, "ends with /"),
            (inside.to_str().unwrap(), "no folder"),
        ] {
            let error = check(Path::new(path)).unwrap_err();
            assert!(error.contains(words), "{path}: {error}");
        }
    }

    #[test]
    fn links_are_followed_whether_their_end_is_there_or_not() {
        let (folder, other) = (Folder::new("links"), Folder::new("end"));
        let link = folder.0.join("link");
        std::os::unix::fs::symlink(other.0.join("real"), &link).unwrap();
        for content in ["one", "two"] {
            assert_eq!(check(&link), Ok(Destination::Replaced(other.0.join("real"))));
            save(&link, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(other.0.join("real")).unwrap(), content);
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink(), "the link is still one");
        }
        let circle = folder.0.join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert!(check(&circle).is_err());
    }

    #[test]
    fn devices_are_written_where_they_are() {
        assert_eq!(check(Path::new("/dev/null")), Ok(Destination::InPlace("/dev/null".into())));
        assert_eq!(check(Path::new("-")), Ok(Destination::Stdout));
        assert!(save(Path::new("/dev/full"), b"x").unwrap_err().contains("No space"));
    }
}
