"""Browser parts that Gradio lacks. Each is one class and one JavaScript module of its name.

Modules without a class are what these share, or a part of one that is an idea of its own.
"""
