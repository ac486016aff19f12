"""The network and its SGD step written again as float64 numpy loops, neuron by neuron and example by example."""

import math

import numpy as np


def act(name, z):
    return {
        "relu": lambda: max(z, 0.0),
        "tanh": lambda: math.tanh(z),
        "gelu": lambda: z * 0.5 * (1 + math.erf(z / math.sqrt(2))),
        "quadratic": lambda: z * z,
        "identity": lambda: z,
    }[name]()


def slope(name, z):
    return {
        "relu": lambda: 1.0 if z > 0 else 0.0,
        "tanh": lambda: 1 / math.cosh(z) ** 2,
        "gelu": lambda: 0.5 * (1 + math.erf(z / math.sqrt(2))) + z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi),
        "quadratic": lambda: 2 * z,
        "identity": lambda: 1.0,
    }[name]()


def predict(activation, w, a, bias, x):
    f = np.zeros(a.shape[1])
    for i in range(len(w)):
        f += a[i] * act(activation, float(np.dot(w[i], x)) + bias[i])
    return f / len(w)


def loss_and_residual(loss, f, y):
    if loss == "cross_entropy":
        p = np.exp(f - f.max())
        p /= p.sum()
        return -math.log(p[y]), p - np.eye(len(f))[y]
    return 0.5 * float(np.sum((f - y) ** 2)), f - y


def gradient(activation, loss, w, a, bias, xs, ys):
    """Risk, and N times its gradient in w, a and bias."""
    gw, ga, gb, risk = np.zeros_like(w), np.zeros_like(a), np.zeros(len(w)), 0.0
    for x, y in zip(xs, ys, strict=True):
        value, r = loss_and_residual(loss, predict(activation, w, a, bias, x), y)
        risk += value / len(xs)
        for i in range(len(w)):
            z = float(np.dot(w[i], x)) + bias[i]
            back = float(np.dot(a[i], r)) * slope(activation, z) / len(xs)
            gw[i] += back * x
            gb[i] += back
            ga[i] += act(activation, z) * r / len(xs)
    return risk, gw, ga, gb
