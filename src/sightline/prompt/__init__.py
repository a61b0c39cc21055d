"""Conversations to token ids and back, with the origin of every character known (promise 3).

`messages` checks what users say, `chat` renders it, `tokenizer` splits it, `encode` puts it
together with targets and visual spans; `grounding` writes boxes and points as words.
"""
