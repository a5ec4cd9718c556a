//! Man pages and shell completions of the programs, from the definitions of their command lines.

use std::io;

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::daemon;

/// Where each file goes below a prefix such as `/usr`, and what is in it.
pub fn files() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut linkspan = linkspan_ctl::command();
    let mut files = completions(&mut linkspan).to_vec();
    // Only then a verb has its whole name, `linkspan-install`.
    linkspan.build();
    files.push(page(&linkspan, "1")?);
    for verb in linkspan.get_subcommands() {
        files.push(page(verb, "1")?);
    }
    for mut daemon in daemon::commands() {
        files.extend(completions(&mut daemon));
        files.push(page(&daemon, "8")?);
    }
    Ok(files)
}

fn completions(command: &mut Command) -> [(String, Vec<u8>); 3] {
    let name = command.get_name().to_owned();
    [
        (Shell::Bash, format!("share/bash-completion/completions/{name}")),
        (Shell::Fish, format!("share/fish/vendor_completions.d/{name}.fish")),
        (Shell::Zsh, format!("share/zsh/site-functions/_{name}")),
    ]
    .map(|(shell, path)| {
        let mut script = Vec::new();
        generate(shell, command, &name, &mut script);
        (path, script)
    })
}

fn page(command: &Command, section: &str) -> io::Result<(String, Vec<u8>)> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = format!("share/man/man{section}/{name}.{section}");
    let source = concat!("Linkspan ", env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    let man = Man::new(command.clone()).source(source).manual("Linkspan").section(section);
    man.render(&mut page)?;
    Ok((path, page))
}
