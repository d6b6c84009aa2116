//! Inputs that are kept from one training step to the next.

use super::any::AnyInput;
use crate::{Buffer, Bufferable, Tokens};
use burn::module::{
    Content, Devices, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::tensor::{Device, Int, Tensor};
use std::fmt;

/// Memory of an [`AnyInput`].
///
/// The module tree contains only the inner memory, so a checkpoint is the same as that of a network
/// with a fixed type of input.
#[derive(Clone, Debug)]
pub enum AnyMemory {
    /// Images.
    Images(Buffer<Tensor<4>>),
    /// Vectors.
    Vectors(Buffer<Tensor<2>>),
    /// Sequences of vectors.
    Sequences(Buffer<Tensor<3>>),
    /// Tokens.
    Tokens(TokensMemory),
}

/// Evaluates an expression with the memory inside an `AnyMemory`.
macro_rules! of_any {
    ($memory:expr, $inside:ident => $result:expr) => {
        match $memory {
            AnyMemory::Images($inside) => $result,
            AnyMemory::Vectors($inside) => $result,
            AnyMemory::Sequences($inside) => $result,
            AnyMemory::Tokens($inside) => $result,
        }
    };
}

/// Replaces the memory inside by the result of an expression.
macro_rules! each {
    ($memory:expr, $inside:ident => $result:expr) => {
        match $memory {
            AnyMemory::Images($inside) => AnyMemory::Images($result),
            AnyMemory::Vectors($inside) => AnyMemory::Vectors($result),
            AnyMemory::Sequences($inside) => AnyMemory::Sequences($result),
            AnyMemory::Tokens($inside) => AnyMemory::Tokens($result),
        }
    };
}

impl Module for AnyMemory {
    fn collect_devices(&self, devices: Devices) -> Devices {
        of_any!(self, inside => inside.collect_devices(devices))
    }

    fn fork(self, device: &Device) -> Self {
        each!(self, inside => inside.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        each!(self, inside => inside.to_device(device))
    }

    fn train(self) -> Self {
        each!(self, inside => inside.train())
    }

    fn valid(&self) -> Self {
        each!(self, inside => inside.valid())
    }

    fn materialize(self) -> Self {
        each!(self, inside => inside.materialize())
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        of_any!(self, inside => inside.visit(visitor))
    }

    fn map<Mapper: ModuleMapper>(self, mapper: &mut Mapper) -> Self {
        each!(self, inside => inside.map(mapper))
    }
}

impl ModuleDisplayDefault for AnyMemory {
    fn content(&self, content: Content) -> Option<Content> {
        of_any!(self, inside => inside.content(content))
    }
}

impl ModuleDisplay for AnyMemory {}

impl fmt::Display for AnyMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(DisplaySettings::default()))
    }
}

/// Memory of [`Tokens`].
#[derive(Module, Debug)]
pub struct TokensMemory {
    ids: Buffer<Tensor<2, Int>>,
    /// 1 where there is a token, 0 where there is padding.
    mask: Buffer<Tensor<2, Int>>,
}

/// The functions of [`Bufferable`], whose trait and whose tokens are both of another crate.
impl TokensMemory {
    fn of(tokens: Tokens) -> Self {
        Self {
            ids: tokens.ids.into_buffers(),
            mask: tokens.mask.int().into_buffers(),
        }
    }

    fn store(&self, tokens: Tokens) {
        tokens.ids.store(&self.ids);
        tokens.mask.int().store(&self.mask);
    }

    fn load(&self, samples: usize, device: &Device) -> Tokens {
        Tokens {
            ids: Tensor::load(&self.ids, samples, device),
            mask: Tensor::<2, Int>::load(&self.mask, samples, device).bool(),
        }
    }
}

impl Bufferable for AnyInput {
    type Buffers = AnyMemory;

    fn into_buffers(self) -> AnyMemory {
        match self {
            Self::Images(images) => AnyMemory::Images(images.into_buffers()),
            Self::Vectors(vectors) => AnyMemory::Vectors(vectors.into_buffers()),
            Self::Sequences(sequences) => AnyMemory::Sequences(sequences.into_buffers()),
            Self::Tokens(tokens) => AnyMemory::Tokens(TokensMemory::of(tokens)),
        }
    }

    fn store(self, memory: &AnyMemory) {
        match (self, memory) {
            (Self::Images(images), AnyMemory::Images(memory)) => images.store(memory),
            (Self::Vectors(vectors), AnyMemory::Vectors(memory)) => vectors.store(memory),
            (Self::Sequences(sequences), AnyMemory::Sequences(memory)) => {
                sequences.store(memory);
            }
            (Self::Tokens(tokens), AnyMemory::Tokens(memory)) => memory.store(tokens),
            (other, _) => panic!(
                "The memory holds inputs of another kind than the given {}.",
                other.kind()
            ),
        }
    }

    fn load(memory: &AnyMemory, samples: usize, device: &Device) -> Self {
        match memory {
            AnyMemory::Images(memory) => Tensor::<4>::load(memory, samples, device).into(),
            AnyMemory::Vectors(memory) => Tensor::<2>::load(memory, samples, device).into(),
            AnyMemory::Sequences(memory) => Tensor::<3>::load(memory, samples, device).into(),
            AnyMemory::Tokens(memory) => memory.load(samples, device).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors;

    #[test]
    fn its_record_is_that_of_the_memory_inside() {
        let images = Tensor::<4>::ones([2, 1, 3, 3], &Device::flex());
        let plain = images.clone().into_buffers();
        let any = AnyInput::from(images.zeros_like()).into_buffers();

        let loaded = any.load_record(plain.clone().into_record());

        assert_eq!(tensors(&loaded), tensors(&plain));
        let AnyMemory::Images(inside) = loaded.valid() else {
            panic!("it is of images");
        };
        inside
            .get()
            .into_data()
            .assert_eq(&images.into_data(), true);
    }
}
