mod adapted;
mod factor_transfer;
mod kinds;
mod several_layers;
mod student;
mod text;
mod tokens;
