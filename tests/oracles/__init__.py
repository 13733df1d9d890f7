"""Oracles: slow, plainly right twins of the kernels, in numpy and scipy, without numba.

One module per kernel module, with functions of the same names; they take lists of values instead of
states where that is plainer. Nothing here imports kernels but for constants.
"""
