"""Where a face lies in the images that we train on, so that photographs and renders are framed alike."""

from workers.matchers.alignment import TEMPLATE_112

CHIP = (0.133, 0.119, 0.716)
"""Left, top and width of a matcher's aligned face within our images, over their width: the mean of what the detector
says of neutral renders at 128 pixels."""

FRAME = TEMPLATE_112 / 112 * CHIP[2] + CHIP[:2]
"""Where the five points of a face come to lie, over the image's width, [5, 2]."""
