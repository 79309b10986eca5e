//! restante, the program. All of it is in the library beside this, where the fuzz targets reach it.

fn main() -> std::process::ExitCode {
    restante::run()
}
