//! `image FOLDER BUILT...` writes Linkspan's images into a folder, from the folders in which its programs were built,
//! one for each machine.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use linkspan_release::image::{IMAGES, Image};
use linkspan_release::program::Built;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let folder = arguments.next();
    let built: Vec<PathBuf> = arguments.collect();
    let Some(folder) = folder.filter(|_| !built.is_empty()) else {
        eprintln!("image: expected `image FOLDER BUILT...`");
        return ExitCode::from(2);
    };
    let mut images = IMAGES.iter();
    match images.try_for_each(|(programs, arguments)| write(&folder, programs, arguments, &built)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let reason = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            eprintln!("image: {error}{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Writes one image, and says what it is. `REPOSITORY` in the environment stands before its name, `TAG` is its
/// tag.
fn write(
    folder: &Path,
    programs: &[&str],
    arguments: &[&str],
    built: &[PathBuf],
) -> Result<(), Box<dyn Error>> {
    let machines =
        built.iter().map(|folder| Built::read(folder, programs)).collect::<Result<Vec<_>, _>>()?;
    let own = programs[0];
    let repository = env::var("REPOSITORY").ok().filter(|repository| !repository.is_empty());
    let name = repository.map_or(own.to_owned(), |place| format!("{place}/{own}"));
    let tag = env::var("TAG").ok().filter(|tag| !tag.is_empty());
    let tag = tag.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
    let packed = Image { name: &name, tag, arguments }.pack(&machines)?;
    let path = folder.join(format!("{own}.tar"));
    fs::create_dir_all(folder)?;
    fs::write(&path, &packed.archive)?;
    let machines: Vec<_> = machines.iter().map(|built| built.machine.name()).collect();
    println!(
        "{}: {} {} for {}",
        path.display(),
        packed.reference,
        packed.digest,
        machines.join(", ")
    );
    Ok(())
}
