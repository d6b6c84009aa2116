use burn::module::{
    Content, Devices, DisplaySettings, Flag, Module, ModuleDisplay, ModuleDisplayDefault,
    ModuleMapper, ModuleVisitor, Param, ParamId,
};
use burn::tensor::{Bool, Device, Int, Tensor};
use std::any::Any;
use std::fmt::{self, Debug};

/// A module whose type is chosen at run time: see [`DynNetwork`](crate::DynNetwork) and
/// [`DynObjective`](crate::DynObjective).
///
/// `E` is a trait object. Its trait is the object-safe version of another trait, has
/// [`ErasedModule`] as a supertrait, and is implemented for the [`Slot`] of every module that
/// implements the other trait.
pub struct Dynamic<E: ?Sized>(pub(super) Box<E>);

impl<E: ?Sized> Dynamic<E> {
    /// Creates a dynamic module from its trait object.
    pub fn from_erased(module: Box<E>) -> Self {
        Self(module)
    }

    /// Returns the trait object.
    pub fn erased(&self) -> &E {
        &self.0
    }

    /// Returns a mutable reference to the trait object.
    pub fn erased_mut(&mut self) -> &mut E {
        &mut self.0
    }

    /// Returns the trait object by value.
    pub fn into_erased(self) -> Box<E> {
        self.0
    }
}

/// Object-safe version of burn's `Module`. Methods that consume a module work in place here.
pub trait ErasedModule: Send + Debug {
    /// `Module::visit`
    fn visit_erased(&self, visitor: &mut dyn ErasedVisitor);
    /// `Module::map`
    fn map_erased(&mut self, mapper: &mut dyn ErasedMapper);
    /// `Module::collect_devices`
    fn collect_devices_erased(&self, devices: Devices) -> Devices;
    /// All other methods that change the state of a module.
    fn transform(&mut self, transform: ModuleTransform<'_>);
    /// `ModuleDisplay::format`
    fn format_erased(&self, settings: DisplaySettings) -> String;
}

/// A change of the state of a module.
#[derive(Clone, Copy)]
pub enum ModuleTransform<'a> {
    /// `Module::fork`
    Fork(&'a Device),
    /// `Module::to_device`
    ToDevice(&'a Device),
    /// `Module::train`
    Train,
    /// `Module::valid`
    Valid,
    /// `Module::materialize`
    Materialize,
}

/// Holder of a module whose type is erased. It is empty only during a transformation.
#[derive(Clone, Debug)]
pub struct Slot<M>(Option<M>);

impl<M> Slot<M> {
    /// Creates a slot that holds a module.
    pub fn new(module: M) -> Self {
        Self(Some(module))
    }

    /// Returns the module.
    pub fn module(&self) -> &M {
        self.0.as_ref().expect("the slot is filled between calls")
    }

    /// Returns the module by value.
    pub fn into_module(self) -> M {
        self.0.expect("the slot is filled between calls")
    }

    /// Replaces the module by the result of `transform`.
    pub fn replace(&mut self, transform: impl FnOnce(M) -> M) {
        self.0 = self.0.take().map(transform);
    }
}

impl<M: Module + ModuleDisplay> ErasedModule for Slot<M> {
    fn visit_erased(&self, visitor: &mut dyn ErasedVisitor) {
        self.module().visit(&mut ToErased(visitor));
    }

    fn map_erased(&mut self, mapper: &mut dyn ErasedMapper) {
        self.replace(|module| module.map(&mut ToErased(mapper)));
    }

    fn collect_devices_erased(&self, devices: Devices) -> Devices {
        self.module().collect_devices(devices)
    }

    fn transform(&mut self, transform: ModuleTransform<'_>) {
        self.replace(|module| match transform {
            ModuleTransform::Fork(device) => module.fork(device),
            ModuleTransform::ToDevice(device) => module.to_device(device),
            ModuleTransform::Train => module.train(),
            ModuleTransform::Valid => module.valid(),
            ModuleTransform::Materialize => module.materialize(),
        });
    }

    fn format_erased(&self, settings: DisplaySettings) -> String {
        self.module().format(settings)
    }
}

impl<E: ?Sized + ErasedModule> Dynamic<E> {
    fn transformed(mut self, transform: ModuleTransform<'_>) -> Self {
        self.0.transform(transform);
        self
    }
}

impl<E> Module for Dynamic<E>
where
    E: ?Sized + ErasedModule,
    Box<E>: Clone,
{
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0.collect_devices_erased(devices)
    }

    fn fork(self, device: &Device) -> Self {
        self.transformed(ModuleTransform::Fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        self.transformed(ModuleTransform::ToDevice(device))
    }

    fn train(self) -> Self {
        self.transformed(ModuleTransform::Train)
    }

    fn valid(&self) -> Self {
        self.clone().transformed(ModuleTransform::Valid)
    }

    fn materialize(self) -> Self {
        self.transformed(ModuleTransform::Materialize)
    }

    fn visit<Visitor: ModuleVisitor>(&self, visitor: &mut Visitor) {
        self.0.visit_erased(&mut FromGeneric(visitor));
    }

    fn map<Mapper: ModuleMapper>(mut self, mapper: &mut Mapper) -> Self {
        self.0.map_erased(&mut FromGeneric(mapper));
        self
    }
}

impl<E: ?Sized> Clone for Dynamic<E>
where
    Box<E>: Clone,
{
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: ?Sized + ErasedModule> Debug for Dynamic<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<E: ?Sized + ErasedModule> ModuleDisplayDefault for Dynamic<E> {
    fn content(&self, content: Content) -> Option<Content> {
        let inner = self.0.format_erased(DisplaySettings::default());
        content.add_formatted(&inner).optional()
    }
}

impl<E: ?Sized + ErasedModule> ModuleDisplay for Dynamic<E> {
    fn format(&self, settings: DisplaySettings) -> String {
        self.0.format_erased(settings)
    }
}

impl<E: ?Sized + ErasedModule> fmt::Display for Dynamic<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format_erased(DisplaySettings::default()))
    }
}

/// Converts a generic visitor or mapper to an object-safe one.
struct FromGeneric<'a, T>(&'a mut T);

/// Converts an object-safe visitor or mapper to a generic one.
struct ToErased<'a, T: ?Sized>(&'a mut T);

/// Converts a value to a type that is known to be the same.
///
/// The rank of a tensor is part of its type, so code that is generic over the rank needs a
/// conversion even after it has checked the rank.
fn same<A: Any, B: Any>(value: A) -> B {
    let mut value = Some(value);
    (&mut value as &mut dyn Any)
        .downcast_mut::<Option<B>>()
        .and_then(Option::take)
        .expect("the rank decides the type")
}

macro_rules! bridge {
    ($($rank:literal: $visit_float:ident $visit_int:ident $visit_bool:ident
       $map_float:ident $map_int:ident $map_bool:ident;)*) => {
        /// Object-safe version of `ModuleVisitor`, with one method per rank.
        pub trait ErasedVisitor {
            $(
                #[doc = concat!("`visit_float` of rank ", $rank)]
                fn $visit_float(&mut self, param: &Param<Tensor<$rank>>);
                #[doc = concat!("`visit_int` of rank ", $rank)]
                fn $visit_int(&mut self, param: &Param<Tensor<$rank, Int>>);
                #[doc = concat!("`visit_bool` of rank ", $rank)]
                fn $visit_bool(&mut self, param: &Param<Tensor<$rank, Bool>>);
            )*
            /// `visit_flag`
            fn flag(&mut self, flag: &Param<Flag>);
            /// `enter_module`
            fn enter(&mut self, name: &str, container_type: &str);
            /// `exit_module`
            fn exit(&mut self, name: &str, container_type: &str);
        }

        impl<V: ModuleVisitor> ErasedVisitor for FromGeneric<'_, V> {
            $(
                fn $visit_float(&mut self, param: &Param<Tensor<$rank>>) {
                    self.0.visit_float(param);
                }

                fn $visit_int(&mut self, param: &Param<Tensor<$rank, Int>>) {
                    self.0.visit_int(param);
                }

                fn $visit_bool(&mut self, param: &Param<Tensor<$rank, Bool>>) {
                    self.0.visit_bool(param);
                }
            )*

            fn flag(&mut self, flag: &Param<Flag>) {
                self.0.visit_flag(flag);
            }

            fn enter(&mut self, name: &str, container_type: &str) {
                self.0.enter_module(name, container_type);
            }

            fn exit(&mut self, name: &str, container_type: &str) {
                self.0.exit_module(name, container_type);
            }
        }

        impl ModuleVisitor for ToErased<'_, dyn ErasedVisitor + '_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                match D {
                    $($rank => self.0.$visit_float(&same(param.clone())),)*
                    _ => unsupported(D),
                }
            }

            fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
                match D {
                    $($rank => self.0.$visit_int(&same(param.clone())),)*
                    _ => unsupported(D),
                }
            }

            fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
                match D {
                    $($rank => self.0.$visit_bool(&same(param.clone())),)*
                    _ => unsupported(D),
                }
            }

            fn visit_flag(&mut self, flag: &Param<Flag>) {
                self.0.flag(flag);
            }

            fn enter_module(&mut self, name: &str, container_type: &str) {
                self.0.enter(name, container_type);
            }

            fn exit_module(&mut self, name: &str, container_type: &str) {
                self.0.exit(name, container_type);
            }

            // Only a caller that has already walked the tree uses the methods with a path, so they
            // are never called on this side.
            fn visit_float_with_path<const D: usize>(
                &mut self,
                _path: &[String],
                id: ParamId,
                tensor: &Tensor<D>,
            ) {
                self.visit_float(&Param::initialized(id, tensor.clone()));
            }
        }

        /// Object-safe version of `ModuleMapper`, with one method per rank.
        pub trait ErasedMapper {
            $(
                #[doc = concat!("`map_float` of rank ", $rank)]
                fn $map_float(&mut self, param: Param<Tensor<$rank>>) -> Param<Tensor<$rank>>;
                #[doc = concat!("`map_int` of rank ", $rank)]
                fn $map_int(
                    &mut self,
                    param: Param<Tensor<$rank, Int>>,
                ) -> Param<Tensor<$rank, Int>>;
                #[doc = concat!("`map_bool` of rank ", $rank)]
                fn $map_bool(
                    &mut self,
                    param: Param<Tensor<$rank, Bool>>,
                ) -> Param<Tensor<$rank, Bool>>;
            )*
            /// `map_flag`
            fn flag(&mut self, flag: Param<Flag>) -> Param<Flag>;
            /// `enter_module`
            fn enter(&mut self, name: &str, container_type: &str);
            /// `exit_module`
            fn exit(&mut self, name: &str, container_type: &str);
        }

        impl<M: ModuleMapper> ErasedMapper for FromGeneric<'_, M> {
            $(
                fn $map_float(&mut self, param: Param<Tensor<$rank>>) -> Param<Tensor<$rank>> {
                    self.0.map_float(param)
                }

                fn $map_int(
                    &mut self,
                    param: Param<Tensor<$rank, Int>>,
                ) -> Param<Tensor<$rank, Int>> {
                    self.0.map_int(param)
                }

                fn $map_bool(
                    &mut self,
                    param: Param<Tensor<$rank, Bool>>,
                ) -> Param<Tensor<$rank, Bool>> {
                    self.0.map_bool(param)
                }
            )*

            fn flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
                self.0.map_flag(flag)
            }

            fn enter(&mut self, name: &str, container_type: &str) {
                self.0.enter_module(name, container_type);
            }

            fn exit(&mut self, name: &str, container_type: &str) {
                self.0.exit_module(name, container_type);
            }
        }

        impl ModuleMapper for ToErased<'_, dyn ErasedMapper + '_> {
            fn map_float<const D: usize>(
                &mut self,
                param: Param<Tensor<D>>,
            ) -> Param<Tensor<D>> {
                match D {
                    $($rank => same(self.0.$map_float(same(param))),)*
                    _ => unsupported(D),
                }
            }

            fn map_int<const D: usize>(
                &mut self,
                param: Param<Tensor<D, Int>>,
            ) -> Param<Tensor<D, Int>> {
                match D {
                    $($rank => same(self.0.$map_int(same(param))),)*
                    _ => unsupported(D),
                }
            }

            fn map_bool<const D: usize>(
                &mut self,
                param: Param<Tensor<D, Bool>>,
            ) -> Param<Tensor<D, Bool>> {
                match D {
                    $($rank => same(self.0.$map_bool(same(param))),)*
                    _ => unsupported(D),
                }
            }

            fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
                self.0.flag(flag)
            }

            fn enter_module(&mut self, name: &str, container_type: &str) {
                self.0.enter(name, container_type);
            }

            fn exit_module(&mut self, name: &str, container_type: &str) {
                self.0.exit(name, container_type);
            }
        }
    };
}

bridge! {
    1: float_1 int_1 bool_1 map_float_1 map_int_1 map_bool_1;
    2: float_2 int_2 bool_2 map_float_2 map_int_2 map_bool_2;
    3: float_3 int_3 bool_3 map_float_3 map_int_3 map_bool_3;
    4: float_4 int_4 bool_4 map_float_4 map_int_4 map_bool_4;
    5: float_5 int_5 bool_5 map_float_5 map_int_5 map_bool_5;
    6: float_6 int_6 bool_6 map_float_6 map_int_6 map_bool_6;
}

fn unsupported(rank: usize) -> ! {
    panic!(
        "The tensors of a dynamic module should have a rank from 1 to 6, but one has rank {rank}."
    )
}
