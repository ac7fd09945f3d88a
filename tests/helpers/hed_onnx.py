"""HED as an ONNX graph built node by node from the weight file, for OpenCV to run; shares no code with the package."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

MEAN_BGR = np.array([104.00698793, 116.66876762, 122.67891434], np.float32)
CAFFE_CROPS = (34, 35, 36, 38, 42)


class Graph:
    """Nodes and constants in the order they are added; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, **attributes: object) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def conv(self, x: str, weights: dict[str, np.ndarray], layer: str, pad: int) -> str:
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        kernel = list(weight.shape[2:])
        return self.add(
            "Conv", x, self.constant(weight), self.constant(bias), kernel_shape=kernel, pads=[pad] * 4, strides=[1, 1]
        )


def caffe_bilinear(stride: int) -> np.ndarray:
    """Caffe's bilinear filler for a kernel of side 2 * stride."""
    side = 2 * stride
    centre = (2 * stride - 1 - stride % 2) / (2 * stride)
    ramp = 1 - np.abs(np.arange(side) / stride - centre)
    return np.outer(ramp, ramp).astype(np.float32)[None, None]


def build(weight_file: Path, height: int, width: int, *, caffe: bool = False) -> bytes:
    """Serialised graph for one size: BGR minus mean (1, 3, H, W) -> probability (1, 1, H, W).

    ``caffe`` follows the authors' prototxt: first padding 35, transposed convolutions, crops.
    """
    weights, graph = load_file(weight_file), Graph()
    x, sides = "input", []
    for stage, count in enumerate((2, 2, 3, 3, 3)):
        if stage:
            x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
        for conv in range(count):
            pad = 35 if caffe and stage == conv == 0 else 1
            x = graph.add("Relu", graph.conv(x, weights, f"stages.{stage}.{conv}", pad))
        side = graph.conv(x, weights, f"sides.{stage}", 0)
        if caffe:
            if stage:
                s = 2**stage
                kernel = graph.constant(caffe_bilinear(s))
                side = graph.add("ConvTranspose", side, kernel, kernel_shape=[2 * s, 2 * s], strides=[s, s])
            first = CAFFE_CROPS[stage]
            bounds = [[first, first], [first + height, first + width], [2, 3], [1, 1]]
            side = graph.add("Slice", side, *(graph.constant(np.array(b, np.int64)) for b in bounds))
        elif stage:
            sizes = graph.constant(np.array([1, 1, height, width], np.int64))
            attributes = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
            side = graph.add("Resize", side, "", "", sizes, **attributes)
        sides.append(side)
    fused = graph.conv(graph.add("Concat", *sides, axis=1), weights, "fuse", 0)
    last = graph.add("Sigmoid", fused)
    proto = helper.make_graph(
        graph.nodes,
        "hed",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, [1, 1, height, width])],
        graph.constants,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


class OpenCVHED:
    """The graph in OpenCV's dnn module, on its classic engine."""

    def __init__(self, weight_file: Path, height: int, width: int, *, caffe: bool = False) -> None:
        model = np.frombuffer(build(weight_file, height, width, caffe=caffe), np.uint8)
        self.net = cv2.dnn.readNetFromONNX(model, engine=cv2.dnn.ENGINE_CLASSIC)

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """RGB uint8 (H, W, 3) -> float32 (H, W)."""
        blob = photo[..., ::-1].astype(np.float32) - MEAN_BGR
        self.net.setInput(np.ascontiguousarray(blob.transpose(2, 0, 1)[None]))
        return self.net.forward()[0, 0]
