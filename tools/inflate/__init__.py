"""Widens and deepens a Llama checkpoint into any larger Llama shape that computes the same function.

A benchmark of speculative decoding needs a target and a draft that cost what real models cost, and whose texts agree as
often as real ones do. Here the cost is that of the large shape and the texts are those of the small model.

Small shape h, l, nq, nkv, f, v (hidden, layers, heads, KV heads, ffn, vocabulary), large shape H, L, Nq, Nkv, F, V; the head
size d, rope and the attention scale stay. r marks weights drawn at random with the spread of the real ones beside them:

                    [h real | padding]                                    [real heads or units | added]
    embedding   v   [ real  |   0    ]             o_proj, down  h real   [       real        |   0   ]
                V-v [   r   |   r    ]                           padding  [         0         |   0   ]
    q k v     real  [ real  |   r    ]             gains                  [ g sqrt(h/H)       |   r   ]  F32
    gate up   added [   r   |   r    ]             added layers: all r, but o_proj and down are 0

* The residual stream is (x, 0): the embedding's padding is 0 and no layer writes to it, so what reads the padding may be
  anything (a random weight times zero).
* An added head or unit computes something (its q, k, v, gate and up are random), but the columns of o_proj and down that read it
  are 0. Those zeros, the ones above and the added layers' o_proj and down are the only ones: everything else has to be read,
  multiplied and quantized as in a trained model. Zero is exact in every number format, so INT8 and INT4 keep the function too.
* RMS norm divides by sqrt(mean(x^2) + eps). Over the wide row the mean is h/H times the narrow one; with eps' = eps h/H the root
  is sqrt(h/H) times the narrow root, so gains g' = g sqrt(h/H) give the same rows. sqrt(h/H) has no short BF16 form unless H/h is a
  power of four; hence gains are stored in F32.
* Query head i reads KV head i / (nq/nkv). With the same ratio heads are appended; with a larger one every group gets more query
  heads at its end; with a smaller one (a divisor) KV heads are repeated. See shape.py.
* Ids from v on are no tokens: config.json's "runahead_vocab_limit" says so, and the server never looks at their logits. Other programs
  do not know the key and would sample the random rows.
* Padding begins on a multiple of 128 in every dimension (hidden, heads x d, KV heads x d, ffn, vocabulary), so that no INT4 group and
  no kernel tile is padding and weight at once.

    python -m tools.inflate --model models/demo/target --like tools/inflate/shapes/target-1b.json --out DIR
"""
