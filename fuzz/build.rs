//! The messages of the gRPC target.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../proto");
    let descriptors = protox::compile(["heliosdb/v1/heliosdb.proto"], [&root])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
