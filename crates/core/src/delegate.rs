/// Implements methods of [`Network`](crate::Network) by calls to the methods of a field, in an
/// `impl Network` block.
///
/// The supported methods are `example`, `classifier`, `normalization` and `deployed`, which a
/// wrapper around a network seldom changes.
///
/// # Example
///
/// ```
/// use burn::module::Module;
/// use burn_distill_core::{Network, Response, TapRecorder, delegate_network};
///
/// /// A network whose logits are doubled.
/// #[derive(Module, Debug)]
/// struct Doubled<N> {
///     network: N,
/// }
///
/// impl<N: Network> Network for Doubled<N> {
///     type Input = N::Input;
///
///     fn forward_tapped(&self, input: N::Input, taps: &mut TapRecorder) -> Response {
///         let logits = self.network.forward_tapped(input, taps).rows().logits;
///         Response::Classes(logits.mul_scalar(2.0))
///     }
///
///     delegate_network!(network: example, normalization);
/// }
/// ```
#[macro_export]
macro_rules! delegate_network {
    ($field:ident: $($method:ident),+) => {
        $($crate::delegate_network!(@$method $field);)+
    };
    (@example $field:ident) => {
        fn example(&self, samples: usize, device: &$crate::__burn::Device) -> Self::Input {
            $crate::Network::example(&self.$field, samples, device)
        }
    };
    (@classifier $field:ident) => {
        fn classifier(&self) -> Option<$crate::__burn::Linear> {
            $crate::Network::classifier(&self.$field)
        }
    };
    (@deployed $field:ident) => {
        fn deployed(self) -> Self {
            Self {
                $field: $crate::Network::deployed(self.$field),
                ..self
            }
        }
    };
    (@normalization $field:ident) => {
        fn normalization(&self, tap: &str) -> Option<$crate::__burn::BatchNorm> {
            $crate::Network::normalization(&self.$field, tap)
        }
    };
}

/// Implements burn's `Module` for a wrapper around a module, so that the paths of the inner tensors
/// stay the same. With a derive, the paths would begin with the name of the field, and records of
/// the inner module would not fit.
///
/// `parts` lists further modules, whose paths begin with the names of their fields; `kept` lists
/// all other fields.
///
/// # Example
///
/// ```
/// use burn::module::{Module, ModuleDisplay};
/// use burn::nn::{Linear, LinearConfig};
/// use burn::tensor::Device;
/// use burn_distill_core::{delegate_module, display_module, tensors};
///
/// #[derive(Clone, Debug)]
/// struct Named<M> {
///     module: M,
///     head: Linear,
///     name: String,
/// }
///
/// delegate_module!([M: Module] Named<M>: module, parts: [head], kept: [name]);
/// display_module!([M: ModuleDisplay] Named<M>: name, module, head);
///
/// let linear = || LinearConfig::new(2, 3).init(&Device::default());
/// let named = Named { module: linear(), head: linear(), name: "pair".into() };
/// let paths: Vec<_> = tensors(&named).into_iter().map(|(path, _)| path).collect();
/// assert_eq!(paths, ["weight", "bias", "head.weight", "head.bias"]);
/// ```
#[macro_export]
macro_rules! delegate_module {
    (
        [$($parameters:tt)*] $name:ident<$($arguments:ident),*>: $module:ident
        $(, parts: [$($part:ident),*])? $(, kept: [$($kept:ident),*])?
    ) => {
        impl<$($parameters)*> $crate::__burn::Module for $name<$($arguments),*> {
            fn collect_devices(
                &self,
                devices: $crate::__burn::Devices,
            ) -> $crate::__burn::Devices {
                use $crate::__burn::Module;
                let devices = self.$module.collect_devices(devices);
                $($(let devices = self.$part.collect_devices(devices);)*)?
                devices
            }

            fn fork(self, device: &$crate::__burn::Device) -> Self {
                use $crate::__burn::Module;
                Self {
                    $module: self.$module.fork(device),
                    $($($part: self.$part.fork(device),)*)?
                    $($($kept: self.$kept,)*)?
                }
            }

            fn to_device(self, device: &$crate::__burn::Device) -> Self {
                use $crate::__burn::Module;
                Self {
                    $module: self.$module.to_device(device),
                    $($($part: self.$part.to_device(device),)*)?
                    $($($kept: self.$kept,)*)?
                }
            }

            fn train(self) -> Self {
                use $crate::__burn::Module;
                Self {
                    $module: self.$module.train(),
                    $($($part: self.$part.train(),)*)?
                    $($($kept: self.$kept,)*)?
                }
            }

            fn valid(&self) -> Self {
                use $crate::__burn::Module;
                Self {
                    $module: self.$module.valid(),
                    $($($part: self.$part.valid(),)*)?
                    $($($kept: self.$kept.clone(),)*)?
                }
            }

            fn materialize(self) -> Self {
                use $crate::__burn::Module;
                Self {
                    $module: self.$module.materialize(),
                    $($($part: self.$part.materialize(),)*)?
                    $($($kept: self.$kept,)*)?
                }
            }

            fn visit<Visitor: $crate::__burn::ModuleVisitor>(&self, visitor: &mut Visitor) {
                use $crate::__burn::Module;
                self.$module.visit(visitor);
                $($(
                    visitor.enter_module(stringify!($part), concat!("Struct:", stringify!($name)));
                    self.$part.visit(visitor);
                    visitor.exit_module(stringify!($part), concat!("Struct:", stringify!($name)));
                )*)?
            }

            fn map<Mapper: $crate::__burn::ModuleMapper>(self, mapper: &mut Mapper) -> Self {
                use $crate::__burn::Module;
                Self {
                    $module: self.$module.map(mapper),
                    $($($part: {
                        mapper.enter_module(
                            stringify!($part),
                            concat!("Struct:", stringify!($name)),
                        );
                        // By its trait: an option has another `map`.
                        let part = Module::map(self.$part, mapper);
                        mapper.exit_module(
                            stringify!($part),
                            concat!("Struct:", stringify!($name)),
                        );
                        part
                    },)*)?
                    $($($kept: self.$kept,)*)?
                }
            }
        }
    };
}

/// Implements the methods of burn's `Module` that are the same for all modules that are never
/// trained, in an `impl Module` block: `fork` moves the module and `train` returns it unchanged.
macro_rules! untrained_module {
    () => {
        fn fork(self, device: &$crate::__burn::Device) -> Self {
            $crate::__burn::Module::to_device(self, device)
        }

        fn train(self) -> Self {
            self
        }
    };
}
pub(crate) use untrained_module;

/// Implements the display of a module that implements `Module` without a derive.
///
/// It shows the given fields like a derive of burn would, each under its name or under another one,
/// as in `frozen = module`.
///
/// # Example
///
/// See [`delegate_module!`](crate::delegate_module).
#[macro_export]
macro_rules! display_module {
    (
        [$($parameters:tt)*] $name:ident<$($arguments:ident),*>:
        $($shown:ident $(= $field:ident)?),+
    ) => {
        impl<$($parameters)*> $crate::__burn::ModuleDisplayDefault for $name<$($arguments),*> {
            fn content(
                &self,
                content: $crate::__burn::Content,
            ) -> Option<$crate::__burn::Content> {
                content
                    $(.add(
                        stringify!($shown),
                        &$crate::display_module!(@field self, $shown $($field)?),
                    ))+
                    .optional()
            }
        }

        impl<$($parameters)*> $crate::__burn::ModuleDisplay for $name<$($arguments),*> {}

        impl<$($parameters)*> std::fmt::Display for $name<$($arguments),*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let settings = $crate::__burn::DisplaySettings::default();
                f.write_str(&$crate::__burn::ModuleDisplay::format(self, settings))
            }
        }
    };
    (@field $module:ident, $shown:ident) => {
        $module.$shown
    };
    (@field $module:ident, $shown:ident $field:ident) => {
        $module.$field
    };
}
