"""The model family `sdbegan`: the network of Donahue et al. (ICLR 2018), with weights that its authors published."""
