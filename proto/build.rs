//! Compiles the .proto files, without protoc and without the network.

const FILES: [&str; 5] = [
    "kubelet/deviceplugin_v1beta1.proto",
    "kubelet/pluginregistration_v1.proto",
    "kubelet/podresources_v1.proto",
    "linkspan/devices_v1.proto",
    "linkspan/dhcp_v1.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for file in FILES {
        println!("cargo::rerun-if-changed={file}");
    }
    let files = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
