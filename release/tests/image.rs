//! The images as the program `image` writes them: whole, the same each time, and refused where they would not run.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod built;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use flate2::read::GzDecoder;
use linkspan_release::digest::sha256;
use serde_json::Value;

use built::{AARCH64, X86_64, built, elf, files, unpacked};

fn image(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_image"))
        .args(arguments)
        .env_remove("REPOSITORY")
        .env_remove("TAG")
        .output()
        .unwrap()
}

/// The part that a descriptor describes, which has to have that size and digest.
fn blob<'a>(files: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> &'a [u8] {
    let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let bytes = &files[&format!("blobs/sha256/{digest}")];
    assert_eq!(sha256(bytes), digest);
    assert_eq!(bytes.len() as u64, descriptor["size"].as_u64().unwrap());
    bytes
}

fn document(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Value {
    serde_json::from_slice(blob(files, descriptor)).unwrap()
}

#[test]
fn each_image_has_its_programs_for_both_machines_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("images");
    let (amd64, arm64) = (built(folder.path(), X86_64), built(folder.path(), AARCH64));
    let done = image(&[&out, &amd64, &arm64]);
    assert!(done.status.success(), "{done:?}");
    let table: [(&str, &[&str], usize); 3] = [
        ("linkspan", &["linkspan", "linkspan-ctl"], 1),
        ("linkspan-device-plugin", &["linkspan-device-plugin"], 0),
        ("linkspan-dhcp", &["linkspan-dhcp"], 0),
    ];
    for (name, programs, arguments) in table {
        let files = files(&fs::read(out.join(format!("{name}.tar"))).unwrap());
        let top: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let image = &top["manifests"][0];
        let reference = format!("docker.io/library/{name}:{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(image["annotations"]["io.containerd.image.name"], reference);
        let index = document(&files, image);
        for (at, machine, built) in [(0, "amd64", &amd64), (1, "arm64", &arm64)] {
            let descriptor = &index["manifests"][at];
            assert_eq!(descriptor["platform"]["architecture"], machine);
            let manifest = document(&files, descriptor);
            let config = document(&files, &manifest["config"]);
            assert_eq!(config["architecture"], machine);
            assert_eq!(config["config"]["Entrypoint"][0], format!("/{name}"));
            assert_eq!(config["config"]["Cmd"].as_array().unwrap().len(), arguments);
            let layer = unpacked(GzDecoder::new(blob(&files, &manifest["layers"][0])));
            let digest = format!("sha256:{}", sha256(&layer));
            assert_eq!(config["rootfs"]["diff_ids"][0], digest);
            let programs = programs
                .iter()
                .map(|name| ((*name).to_owned(), fs::read(built.join(name)).unwrap()));
            assert_eq!(self::files(&layer), programs.collect());
        }
    }
}

#[test]
fn the_same_programs_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let built = built(folder.path(), X86_64);
    let made = |name: &str| {
        let out = folder.path().join(name);
        assert!(image(&[&out, &built]).status.success());
        fs::read(out.join("linkspan.tar")).unwrap()
    };
    let first = made("first");
    // What a build changes though the programs are the same: when they were written, and who may read them.
    let again = fs::read(built.join("linkspan")).unwrap();
    fs::remove_file(built.join("linkspan")).unwrap();
    fs::write(built.join("linkspan"), again).unwrap();
    assert_eq!(sha256(&first), sha256(&made("second")));
}

#[test]
fn a_program_that_would_not_start_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = [
        (elf(X86_64, true), "needs a dynamic linker"),
        (elf(AARCH64, false), "programs of more than one machine"),
        (elf(3, false), "no ELF program of 64 bits"),
        (b"#!/bin/sh\n".to_vec(), "no ELF program of 64 bits"),
    ];
    for (bytes, reason) in refused {
        let built = built(folder.path(), X86_64);
        fs::write(built.join("linkspan-ctl"), bytes).unwrap();
        let out = folder.path().join("images");
        let done = image(&[&out, &built]);
        assert!(!done.status.success());
        assert!(String::from_utf8_lossy(&done.stderr).contains(reason), "{done:?}");
        assert!(!out.join("linkspan.tar").exists());
    }
}
