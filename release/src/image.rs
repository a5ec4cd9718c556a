//! A container image of a few programs and nothing else, for one or more machines, as an archive of the OCI image
//! layout: what `ctr images import`, `podman load` and `skopeo copy oci-archive:` take.
//!
//! Its documents are written here as the OCI image specification 1.0 has them: a crate of their types would bring
//! two dozen others for four objects.

use std::io;

use serde_json::{Value, json};

use crate::archive::{Archive, gzip};
use crate::digest::sha256;
use crate::program::{Built, Machine};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// The programs of each of Linkspan's images, which has the first one's name, and what that one does if told nothing.
pub const IMAGES: [(&[&str], &[&str]); 3] = [
    (&["linkspan", "linkspan-ctl"], &["install"]),
    (&["linkspan-device-plugin"], &[]),
    (&["linkspan-dhcp"], &[]),
];

/// What an image is called and what it runs.
pub struct Image<'a> {
    /// Its name without the tag: `linkspan`, or with a registry before it.
    pub name: &'a str,
    /// Its tag.
    pub tag: &'a str,
    /// What the first of its programs, which it runs, is told where a pod says nothing.
    pub arguments: &'a [&'a str],
}

/// An image as an archive.
pub struct Packed {
    /// The whole name, as pods have it.
    pub reference: String,
    /// The digest of the image for all machines: `sha256:` and its digits.
    pub digest: String,
    /// The archive.
    pub archive: Vec<u8>,
}

impl Image<'_> {
    /// Packs the image, with the programs as they were built for each machine.
    pub fn pack(&self, machines: &[Built]) -> io::Result<Packed> {
        let mut blobs = Blobs::default();
        let mut manifests = Vec::new();
        for built in machines {
            let mut manifest = self.manifest(built, &mut blobs)?;
            manifest["platform"] = platform(built.machine);
            manifests.push(manifest);
        }
        let mut index = blobs.document(INDEX, &index(&manifests));
        let digest = index["digest"].as_str().unwrap_or_default().to_owned();
        let reference = format!("{}:{}", full_name(self.name), self.tag);
        // The first is what containerd calls an imported image, the second is the specification's.
        index["annotations"] = json!({
            "io.containerd.image.name": reference,
            "org.opencontainers.image.ref.name": self.tag,
        });
        let archive = blobs.into_layout(&index)?;
        Ok(Packed { reference: format!("{}:{}", self.name, self.tag), digest, archive })
    }

    /// The image of one machine.
    fn manifest(&self, built: &Built, blobs: &mut Blobs) -> io::Result<Value> {
        let mut layer = Archive::default();
        for (name, program) in &built.programs {
            layer.program(name, &program.bytes)?;
        }
        let first = built.programs.first().map_or(self.name, |(name, _)| name);
        let layer = layer.finish()?;
        let config = json!({
            "architecture": built.machine.name(),
            "os": "linux",
            "config": {
                "User": "0:0",
                "Entrypoint": [format!("/{first}")],
                "Cmd": self.arguments,
                "Labels": {
                    "org.opencontainers.image.title": first,
                    "org.opencontainers.image.version": self.tag,
                    "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
                },
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))] },
            "history": [{ "created_by": "make image" }],
        });
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": blobs.document(CONFIG, &config),
            "layers": [blobs.add(LAYER, gzip(&layer)?)],
        });
        Ok(blobs.document(MANIFEST, &manifest))
    }
}

fn platform(machine: Machine) -> Value {
    json!({ "architecture": machine.name(), "os": "linux" })
}

fn index(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

/// The name as container runtimes complete it where it has no registry: only so does a pod's image of that name
/// find the imported one.
fn full_name(name: &str) -> String {
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

/// The parts of an image, each named by its digest.
#[derive(Default)]
struct Blobs(Vec<(String, Vec<u8>)>);

impl Blobs {
    /// Adds a part, and describes it for those that refer to it.
    fn add(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = sha256(&bytes);
        let descriptor = json!({
            "mediaType": media_type,
            "digest": format!("sha256:{digest}"),
            "size": bytes.len(),
        });
        self.0.push((digest, bytes));
        descriptor
    }

    fn document(&mut self, media_type: &str, document: &Value) -> Value {
        self.add(media_type, document.to_string().into_bytes())
    }

    /// The archive, whose way in is the descriptor of the image for all machines.
    fn into_layout(self, image: &Value) -> io::Result<Vec<u8>> {
        let mut archive = Archive::default();
        archive
            .file("oci-layout", json!({ "imageLayoutVersion": "1.0.0" }).to_string().as_bytes())?;
        archive.file("index.json", index(std::slice::from_ref(image)).to_string().as_bytes())?;
        archive.folder("blobs")?;
        archive.folder("blobs/sha256")?;
        for (digest, bytes) in self.0 {
            archive.file(&format!("blobs/sha256/{digest}"), &bytes)?;
        }
        archive.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_registry_is_completed_as_runtimes_do_it() {
        let table = [
            ("linkspan", "docker.io/library/linkspan"),
            ("team/linkspan", "docker.io/team/linkspan"),
            ("registry.example/linkspan", "registry.example/linkspan"),
            ("localhost/linkspan", "localhost/linkspan"),
            ("localhost:5000/linkspan", "localhost:5000/linkspan"),
        ];
        for (name, full) in table {
            assert_eq!(full_name(name), full);
        }
    }
}
