//! Compiles the .proto files with protox, so that no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "user.proto",
        "session.proto",
        "rooms.proto",
        "message.proto",
    ];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure()
        .bytes(".parley.message.v1.Event.attrs")
        .compile_fds(descriptors)?;
    Ok(())
}
