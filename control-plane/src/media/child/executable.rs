//! Where `millrace-media` is, and where its socket goes.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("there is no {NAME} beside {}, and none on the PATH; MILLRACE_MEDIA can name it", beside.display())]
pub struct NotFound {
    beside: PathBuf,
}

/// By `MILLRACE_MEDIA`, else beside our own executable, else on the `PATH`.
///
/// # Errors
/// When it is in none of these places.
pub fn find() -> Result<PathBuf, NotFound> {
    let own = env::current_exe().unwrap_or_default();
    search(env::var_os("MILLRACE_MEDIA").map(PathBuf::from), &own, env::var_os("PATH").as_deref())
}

fn search(named: Option<PathBuf>, own: &Path, path: Option<&std::ffi::OsStr>) -> Result<PathBuf, NotFound> {
    if let Some(named) = named {
        return Ok(named);
    }
    let beside = own.parent().map(|directory| directory.join(NAME));
    let on_path = path.into_iter().flat_map(env::split_paths).map(|directory| directory.join(NAME));
    beside
        .into_iter()
        .chain(on_path)
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| NotFound { beside: own.to_owned() })
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// A directory that only this user may enter: `given`, else in `XDG_RUNTIME_DIR`, else in the temporary directory.
///
/// # Errors
/// When it can't be made, or is somebody else's.
pub fn runtime_directory(given: Option<&Path>) -> io::Result<PathBuf> {
    let user = nix::unistd::geteuid();
    let directory = given.map_or_else(
        || match env::var_os("XDG_RUNTIME_DIR").filter(|directory| Path::new(directory).is_dir()) {
            Some(directory) => Path::new(&directory).join("millrace"),
            None => env::temp_dir().join(format!("millrace-{user}")),
        },
        Path::to_owned,
    );
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    let found = fs::symlink_metadata(&directory)?;
    // A temporary directory is everybody's: who came first owns the name.
    if !found.is_dir() || found.uid() != user.as_raw() {
        let sentence = format!("{} is not a directory of this user", directory.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, sentence));
    }
    Ok(directory)
}

const NAME: &str = "millrace-media";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_is_searched_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str, mode| {
            let path = directory.path().join(name).join(NAME);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (plain, first, second) = (place("plain", 0o644), place("first", 0o755), place("second", 0o755));
        let own = |path: &Path| path.parent().unwrap().join("millrace");
        let path = env::join_paths([plain.parent().unwrap(), second.parent().unwrap()]).unwrap();
        let named = PathBuf::from("/somewhere/else");
        assert_eq!(search(Some(named.clone()), &own(&first), Some(&path)), Ok(named), "by name");
        assert_eq!(search(None, &own(&first), Some(&path)), Ok(first), "beside us");
        assert_eq!(search(None, &own(&plain), Some(&path)), Ok(second), "on the PATH, executable");
        assert!(search(None, &own(&plain), None).is_err());
    }

    #[test]
    fn runtime_directory_is_ours_alone() {
        let directory = tempfile::tempdir().unwrap();
        let made = runtime_directory(Some(&directory.path().join("run/millrace"))).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(runtime_directory(Some(&file)).is_err());
    }
}
