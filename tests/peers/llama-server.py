"""A real llama.cpp server on a model file: llama-server.py MODEL PORT.

Says "ready http://127.0.0.1:PORT" on standard output once it answers, then serves until it is ended.
"""

import sys
import time

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"tiny"}
params.hostnames = ["127.0.0.1"]
params.port = int(sys.argv[2])
params.n_ctx = 32768  # shared by the slots: 4,096 tokens each
params.n_parallel = 8
params.cpuparams.n_threads = 1
params.cache_ram_mib = 64
params.ui = False
params.verbosity = 1  # errors; the default logs a dozen lines per request
params.warmup = False
# One server answers chat and embeddings alike; without a pooling it refuses /v1/embeddings.
params.embedding = True
params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
server = xllamacpp.Server(params)
print(f"ready {server.listening_address}", flush=True)
while True:
    time.sleep(3600)
