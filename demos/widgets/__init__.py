"""Browser parts that Gradio lacks. Each is one class and one JavaScript module of its name."""
