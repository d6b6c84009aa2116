mod eval;
mod export;
mod fitting;
mod inspect;
mod inspect_file;
#[cfg(feature = "onnx")]
mod inspect_onnx;
mod list;
mod predict;
mod resume;
mod run;

pub use eval::eval;
pub use export::export_student;
pub use inspect::inspect;
pub use list::list;
pub use predict::predict;
pub use run::run;
