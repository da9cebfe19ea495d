"""One architecture, three published shapes of it: for images of CIFAR's, Tiny ImageNet's and ImageNet's size."""

from __future__ import annotations

FORMS = ("cifar", "tiny_imagenet", "imagenet")


def chosen_form(form: str | None, input_shape: tuple[int, int, int]) -> str:
    """`form` itself, or the one that fits the shorter side: below 48 pixels cifar, below 96 tiny_imagenet.

    Raises ValueError for a name that is none of FORMS.
    """
    if form is None:
        side = min(input_shape[1:])
        return "cifar" if side < 48 else "tiny_imagenet" if side < 96 else "imagenet"
    if form not in FORMS:
        raise ValueError(f"form {form!r}: expected one of {', '.join(FORMS)}, or nothing to choose it by image size")
    return form


def require_side(name: str, input_shape: tuple[int, int, int], minimum: int) -> None:
    """Raise ValueError if an image is smaller than `minimum` pixels: a pooling layer would have nothing left."""
    _, height, width = input_shape
    if min(height, width) < minimum:
        raise ValueError(
            f"{name}: images of {height}x{width} are too small, it needs at least {minimum}x{minimum}; "
            "mlp, convnet and the CIFAR ResNets take any size"
        )
