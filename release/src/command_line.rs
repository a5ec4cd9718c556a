//! Man pages and shell completions of `linkspan`, from the definition of its command line.

use std::io;

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

/// Where each file goes below a prefix such as `/usr`, and what is in it.
pub fn files() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = linkspan_ctl::command();
    let mut files = Vec::new();
    for (shell, path) in [
        (Shell::Bash, "share/bash-completion/completions/linkspan"),
        (Shell::Fish, "share/fish/vendor_completions.d/linkspan.fish"),
        (Shell::Zsh, "share/zsh/site-functions/_linkspan"),
    ] {
        let mut script = Vec::new();
        generate(shell, &mut command, "linkspan", &mut script);
        files.push((path.to_owned(), script));
    }
    // Only then a verb has its whole name, `linkspan-install`.
    command.build();
    files.push(page(&command)?);
    for verb in command.get_subcommands() {
        files.push(page(verb)?);
    }
    Ok(files)
}

fn page(command: &Command) -> io::Result<(String, Vec<u8>)> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = format!("share/man/man1/{name}.1");
    let source = concat!("Linkspan ", env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    Man::new(command.clone()).source(source).manual("Linkspan").render(&mut page)?;
    Ok((path, page))
}
