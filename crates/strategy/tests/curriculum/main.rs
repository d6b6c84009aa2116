//! Curricula: stages that go on with what earlier ones left, and routes along anchors.

mod generations;
mod refusals;
mod route;
mod stages;
mod toys;
