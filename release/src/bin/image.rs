//! `image FOLDER BUILT...` writes Linkspan's images into a folder, from the folders in which its programs were built,
//! one for each machine. `image --of NAME FOLDER PROGRAM...` writes that of one other program.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use linkspan_release::image::Image;
use linkspan_release::program::Program;

/// The programs, each of which is the only file of the image of the same name, and what it does if told nothing.
const IMAGES: [(&str, &[&str]); 3] =
    [("linkspan", &["install"]), ("linkspan-device-plugin", &[]), ("linkspan-dhcp", &[])];

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from).peekable();
    let one = arguments.next_if_eq(Path::new("--of")).and_then(|_| arguments.next());
    let folder = arguments.next();
    let built: Vec<PathBuf> = arguments.collect();
    let Some(folder) = folder.filter(|_| !built.is_empty()) else {
        eprintln!("image: expected `image FOLDER BUILT...` or `image --of NAME FOLDER PROGRAM...`");
        return ExitCode::from(2);
    };
    let written = match one.as_ref().map(|name| name.to_string_lossy()) {
        Some(name) => write(&folder, &name, &[], &built),
        None => IMAGES.iter().try_for_each(|(name, arguments)| {
            let programs: Vec<_> = built.iter().map(|folder| folder.join(name)).collect();
            write(&folder, name, arguments, &programs)
        }),
    };
    match written {
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
    program: &str,
    arguments: &[&str],
    programs: &[PathBuf],
) -> Result<(), Box<dyn Error>> {
    let programs =
        programs.iter().map(|path| Program::read(path)).collect::<Result<Vec<_>, _>>()?;
    let repository = env::var("REPOSITORY").ok().filter(|repository| !repository.is_empty());
    let name = repository.map_or(program.to_owned(), |place| format!("{place}/{program}"));
    let tag = env::var("TAG").ok().filter(|tag| !tag.is_empty());
    let tag = tag.as_deref().unwrap_or(env!("CARGO_PKG_VERSION"));
    let packed = Image { name: &name, tag, program, arguments }.pack(&programs)?;
    let path = folder.join(format!("{program}.tar"));
    fs::create_dir_all(folder)?;
    fs::write(&path, &packed.archive)?;
    let machines: Vec<_> = programs.iter().map(|program| program.machine.name()).collect();
    println!(
        "{}: {} {} for {}",
        path.display(),
        packed.reference,
        packed.digest,
        machines.join(", ")
    );
    Ok(())
}
