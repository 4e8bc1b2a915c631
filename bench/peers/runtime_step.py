"""Inference steps of onnxruntime or OpenVINO on the CPU, of the model that PyTorch exports."""

import argparse
import contextlib
import os
import tempfile

import common

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--runtime", choices=["onnxruntime", "openvino"], required=True)
parser.add_argument("--arch", default="efficientnet-lite0")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32", help="bf16: OpenVINO alone")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--runs", type=int, default=7)
parser.add_argument("--models", default=None, help="folder to keep exported models in, for the next time")
args = parser.parse_args()

runtime = common.need(args.runtime)
folder = args.models or tempfile.mkdtemp()
file = os.path.join(folder, f"{args.arch}.onnx")
if not os.path.exists(file):
    torch, _, _ = common.need("torch", "onnx", "onnxscript")
    # What the exporter tells of itself is no result.
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        torch.onnx.export(common.model(args.arch).eval(), (torch.randn(2, 3, 224, 224),), file, input_names=["x"],
                          output_names=["y"], dynamic_shapes=({0: torch.export.Dim("films")},), verbose=False)

numpy = common.need("numpy")
films = numpy.random.default_rng(0).standard_normal((args.batch, 3, 224, 224), dtype=numpy.float32)
if args.runtime == "onnxruntime":
    if args.dtype != "fp32":
        parser.error("onnxruntime computes this model in fp32 only")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    version, step = runtime.__version__, lambda: session.run(None, {"x": films})
else:
    core = runtime.Core()
    read = core.read_model(file)
    read.reshape([args.batch, 3, 224, 224])
    settings = {"INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[args.dtype],
                "INFERENCE_NUM_THREADS": args.threads}
    request = core.compile_model(read, "CPU", settings).create_infer_request()
    version, step = runtime.__version__.split("-")[0], lambda: request.infer([films])

name = {"onnxruntime": "onnxruntime", "openvino": "OpenVINO"}[args.runtime]
common.measure(step, args.batch, args.runs, peer=name, version=version, arch=args.arch, mode="infer", dtype=args.dtype,
               threads=args.threads)
