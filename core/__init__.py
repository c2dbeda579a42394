"""Everything that computes. Nothing in here knows the page: it never imports gradio or demos."""
