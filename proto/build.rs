//! Compiles all .proto files of this folder with protox, so that no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The folder itself, so that a new file is noticed.
    println!("cargo:rerun-if-changed=.");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(".")? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "proto") {
            files.push(path);
        }
    }
    files.sort();
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure()
        .bytes(".parley.message.v1.Event.attrs")
        .compile_fds(descriptors)?;
    Ok(())
}
