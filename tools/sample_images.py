"""Sample images that are computed, the same each time: a head, a body, photographs of nothing."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

WIDTH, HEIGHT = 1200, 900  # pixels of a photograph
_SKY: Final = ((38, 60, 112), (244, 170, 120))
_RIDGES: Final = ((120, 128, 158), (84, 98, 132), (52, 68, 98), (24, 34, 52))


def smooth_noise(shape: tuple[int, ...], size: float, seed: int) -> Floats:
    """Noise of mean 0 and deviation 1, smoothed by a Gaussian of ``size`` pixels."""
    frequencies = np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij")
    squares = sum(frequency**2 for frequency in frequencies)
    spectrum = np.fft.fftn(np.random.default_rng(seed).standard_normal(shape))
    noise = np.fft.ifftn(spectrum * np.exp(-2 * squares * (np.pi * size) ** 2)).real
    return np.asarray((noise - noise.mean()) / noise.std())


def grid(shape: tuple[int, ...]) -> list[Floats]:
    """The coordinates of every pixel, from -1 to 1 along each axis."""
    axes = [np.linspace(-1, 1, count) for count in shape]
    return [np.asarray(axis) for axis in np.meshgrid(*axes, indexing="ij")]


def radius(axes: list[Floats], centre: tuple[float, ...], sides: tuple[float, ...]) -> Floats:
    """1 at the surface of an ellipsoid, less inside."""
    squares = (
        ((axis - at) / side) ** 2 for axis, at, side in zip(axes, centre, sides, strict=True)
    )
    return np.asarray(np.sqrt(sum(squares)))


def head(shape: tuple[int, int, int] = (160, 192, 160)) -> npt.NDArray[np.int16]:
    """A head as a T1-weighted scan shows it, in RAS order: scalp, skull, folds, ventricles."""
    axes = grid(shape)
    x, y, z = axes
    outer = radius(axes, (0, -0.02, 0.02), (0.76, 0.92, 0.93))
    folds = smooth_noise(shape, shape[0] / 64, 1)
    depth = np.clip((outer - 0.38) / 0.42, 0, 1)
    image = np.where(outer < 1, 0.98, 0.0)
    image[(outer < 0.94) & (outer > 0.84)] = 0.1
    image[outer <= 0.84] = 0.16
    brain = outer + 0.012 * folds < 0.8
    image[brain] = 0.68
    image[brain & ((np.abs(folds) < 0.75 * depth) | (outer > 0.75))] = 0.42
    image[brain & (np.abs(folds) < 0.22 * depth)] = 0.18
    image[brain & (x < 0) & (x > -0.02) & (outer > 0.42) & (z > -0.25)] = 0.14
    for side in (-1, 1):
        image[radius(axes, (side * 0.15, 0.02, 0.0), (0.085, 0.15, 0.12)) < 1] = 0.48
        image[
            radius(
                [x - side * 0.25 * np.abs(y), y, z], (side * 0.06, 0.04, 0.08), (0.05, 0.34, 0.13)
            )
            < 1
        ] = 0.14
        eye = radius(axes, (side * 0.27, 0.72, -0.28), (0.13, 0.12, 0.11))
        image[eye < 1], image[eye < 0.75] = 0.45, 0.22
    cerebellum = radius(axes, (0, -0.5, -0.48), (0.42, 0.26, 0.22))
    leaves = np.sin(55 * z + 18 * y + 2.5 * folds)
    image = np.where(cerebellum < 1, np.where(leaves > 0.3, 0.6, 0.4), image)
    image[(radius(axes, (0, -0.16, -0.52), (0.13, 0.14, 0.42)) < 1) & (outer < 0.86)] = 0.62
    image *= 1 + 0.06 * smooth_noise(shape, shape[0] / 8, 2)
    image += 0.018 * np.random.default_rng(3).standard_normal(shape)
    return np.asarray(np.clip(image * 1000, 0, 1500), np.int16)


def body(shape: tuple[int, int, int] = (256, 192, 40)) -> npt.NDArray[np.int16]:
    """An abdomen as a CT scan shows it, in Hounsfield units and RAS order."""
    axes = grid(shape)
    image = np.full(shape, -1000.0)
    for centre, sides, value in (
        ((0, 0, 0), (0.93, 0.86, 9), -95),
        ((0, 0, 0), (0.84, 0.76, 9), 55),
        ((0, 0.06, 0), (0.76, 0.62, 9), -80),
        ((0.36, 0.08, 0.3), (0.44, 0.5, 1.6), 62),
        ((-0.56, -0.2, 0.5), (0.17, 0.26, 0.9), 56),
        ((-0.3, 0.38, 0.2), (0.26, 0.2, 1.2), 30),
        ((-0.33, 0.46, 0.2), (0.17, 0.1, 1.0), -850),
        ((0.3, -0.36, -0.4), (0.15, 0.17, 0.9), 130),
        ((-0.3, -0.36, -0.3), (0.15, 0.17, 0.9), 130),
        ((0.27, -0.36, -0.4), (0.06, 0.08, 0.6), 20),
        ((-0.27, -0.36, -0.3), (0.06, 0.08, 0.6), 20),
        ((0, -0.5, 0), (0.2, 0.19, 9), 260),
        ((0, -0.49, 0), (0.16, 0.15, 9), 170),
        ((0, -0.64, 0), (0.06, 0.05, 9), 40),
        ((0, -0.74, 0), (0.025, 0.05, 9), 420),
        ((-0.06, -0.22, 0), (0.075, 0.1, 9), 210),
        ((0.12, -0.2, 0), (0.08, 0.09, 9), 150),
    ):
        image[radius(axes, centre, sides) < 1] = value
    for number in range(14):
        angle = np.pi * (0.12 + number * 1.76 / 13)
        at = (0.79 * np.sin(angle), -0.7 * np.cos(angle), np.sin(5.0 * number))
        image[radius(axes, at, (0.05, 0.05, 0.6)) < 1] = 480
    image += np.where(image > 0, 9 * smooth_noise(shape, 1.2, 4), 0)
    return np.asarray(image + 14 * smooth_noise(shape, 0.4, 5), np.int16)


def chest() -> npt.NDArray[np.uint8]:
    """A chest as an X-ray shows it."""
    y, x = grid((1000, 1000))
    image = 0.62 - 0.25 * radius([x, y], (0, 0.3), (1.3, 1.8))
    for side in (-1, 1):
        lung = radius([x - side * 0.12 * y, y], (side * 0.42, 0.02), (0.34, 0.68))
        image -= 0.42 / (1 + np.exp((lung - 0.92) * 22))
        clavicle = np.abs(y + 0.62 + 0.2 * np.abs(x) - 0.1) - 0.028
        image += 0.1 / (1 + np.exp(clavicle * 90)) * (np.abs(x) > 0.08)
    for number in range(9):
        rib = np.abs(y - (-0.62 + number * 0.15 + 0.55 * (np.abs(x) - 0.42) ** 2)) - 0.022
        image += 0.07 / (1 + np.exp(rib * 120)) * (np.abs(x) < 0.8)
    image += 0.33 / (1 + np.exp((np.abs(x) - 0.085) * 60))
    image += 0.3 / (1 + np.exp((radius([x, y], (0.16, 0.32), (0.3, 0.34)) - 0.9) * 16))
    image += 0.3 / (1 + np.exp((0.72 - y - 0.1 * np.cos(3 * x)) * 18))
    image += 0.02 * smooth_noise(image.shape, 3, 6) + 0.008 * smooth_noise(image.shape, 0.4, 7)
    return np.asarray(np.clip(image * 255, 0, 255), np.uint8)


def mountains(seed: int) -> npt.NDArray[np.uint8]:
    """Ridges one behind the other, under an evening sky."""
    height = np.linspace(0, 1, HEIGHT)[:, None, None]
    low, high = (np.array(colour, float) for colour in _SKY)
    image = np.repeat(low + (high - low) * height**0.8 * 1.3, WIDTH, axis=1)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    sun = np.hypot(x - WIDTH * (0.3 + 0.1 * (seed % 5)), y - HEIGHT * 0.42)
    image += (np.clip(1 - sun / 420, 0, 1) ** 2)[..., None] * (90, 70, 20)
    image[sun < 46] = (255, 240, 205)
    for number, colour in enumerate(_RIDGES):
        coarse = smooth_noise((WIDTH,), 55 - 9 * number, seed + number)
        fine = smooth_noise((WIDTH,), 5, seed + 50 + number)
        line = HEIGHT * (0.5 + 0.13 * number) - 55 * coarse - 7 * fine
        haze = np.clip((y - line) / 420, 0, 1)[..., None] * (60, 56, 52)
        image = np.where((y > line)[..., None], np.array(colour) + haze, image)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def julia(c: complex) -> npt.NDArray[np.uint8]:
    """A Julia set in colour."""
    y, x = np.mgrid[-1.05 : 1.05 : HEIGHT * 1j, -1.4 : 1.4 : WIDTH * 1j]
    z = x + 1j * y
    steps = np.zeros(z.shape)
    for _ in range(90):
        inside = np.abs(z) < 4
        z = np.where(inside, z**2 + c, z)
        steps += inside
    phase = (steps - np.log2(np.log(np.maximum(np.abs(z), 1.1)) + 1))[..., None] / 90
    return np.asarray(127 + 127 * np.cos(6.3 * (phase * 2.2 + (0.0, 0.18, 0.36)) + 2.4), np.uint8)


def tissue(seed: int) -> npt.NDArray[np.uint8]:
    """Stained tissue under a microscope: fibres, and cells with dark nuclei."""
    shape = (HEIGHT, WIDTH)
    fibres = (
        np.sin(smooth_noise(shape, 40, seed) * 9) * 0.5 + smooth_noise(shape, 2, seed + 1) * 0.3
    )
    image = np.array((232, 170, 200)) + fibres[..., None] * (16, 26, 18)
    gaps = smooth_noise(shape, 16, seed + 2) > 1.3
    image[gaps] = (246, 240, 244)
    nuclei = smooth_noise(shape, 5, seed + 3) + 0.25 * smooth_noise(shape, 2, seed + 4)
    depth = np.clip((nuclei - 1.25) * 2.5, 0, 1)[..., None] * ~gaps[..., None]
    image = image * (1 - depth) + np.array((92, 58, 142)) * depth
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def cells(seed: int) -> npt.NDArray[np.uint8]:
    """Cells that shine: blue nuclei, green skeletons, red spots, on black."""
    shape = (HEIGHT, WIDTH)
    bodies = np.clip(smooth_noise(shape, 34, seed), 0, 2) / 2
    threads = np.exp(-(np.abs(smooth_noise(shape, 5, seed + 1)) * 7)) * bodies
    nuclei = 1 / (1 + np.exp((1.5 - smooth_noise(shape, 34, seed)) * 14))
    spots = np.clip(smooth_noise(shape, 2, seed + 2) - 2.2, 0, 1) * bodies
    image = np.stack((spots * 500, threads * 330, nuclei * 230 + bodies * 24), axis=-1)
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def retina() -> npt.NDArray[np.uint8]:
    """The back of an eye, round on black: a bright disc, and vessels that branch from it."""
    size = 900
    y, x = grid((size, size))
    image = np.stack(
        [196 - 70 * (x**2 + y**2), 92 - 44 * (x**2 + y**2), 44 - 26 * (x**2 + y**2)], -1
    )
    image -= np.exp(-(((x + 0.1) ** 2 + y**2) / 0.03))[..., None] * (70, 50, 20)
    wave = 0.03 * smooth_noise((size, size), 34, 11)
    for curve, width in ((0.9, 0.016), (0.45, 0.011), (1.7, 0.01), (0.15, 0.007)):
        for side in (-1, 1):
            along = np.clip(0.5 - x, 0, 2)
            line = np.abs(y + wave - side * curve * np.sqrt(along) * (1 - 0.32 * along))
            vessel = np.exp(-((line / (width * (1 - 0.35 * along))) ** 2)) * (along > 0)
            image -= vessel[..., None] * (78, 52, 22)
    disc = np.exp(-((np.hypot(x - 0.5, y) / 0.13) ** 4))[..., None]
    image = image * (1 - disc) + np.array((250, 214, 140)) * disc
    image[np.hypot(x, y) > 0.97] = 0
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def frame(number: int) -> npt.NDArray[np.uint8]:
    """One frame of a film of parts on a conveyor belt."""
    y, x = np.mgrid[0:480, 0:640]
    image = np.full((480, 640, 3), (58.0, 62.0, 68.0))
    image += (smooth_noise((480, 640), 1.5, 12) * 3)[..., None]
    image[(y < 70) | (y > 410)] = (120, 124, 130)
    for part in range(-2, 5):
        left = part * 190 + number * 31
        distance = np.hypot(x - left, y - 240 - 40 * np.sin(2.1 * part))
        colour = ((214, 120, 52), (70, 150, 190), (196, 184, 90))[part % 3]
        image[distance < 72] = colour
        image[distance < 26] = (40, 42, 46)
        image += (np.exp(-(((distance - 62) / 9) ** 2)) * 40)[..., None]
    return np.asarray(np.clip(image, 0, 255), np.uint8)
