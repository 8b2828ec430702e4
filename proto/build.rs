//! Generates the contract's Rust from its protobuf files, with a compiler in Rust: no system protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=millrace");
    let files = protox::compile(["millrace/media/v1/media.proto"], ["."])?;
    tonic_prost_build::configure().compile_fds(files)?;
    Ok(())
}
