"""Something to see where no script was named: where it runs, and that the way there carries both directions."""

from __future__ import annotations

import getpass
import math
import platform

import streamlit as st

st.title("It works")
st.write(f"This is **{platform.node()}**, and you are **{getpass.getuser()}** there.")
waves = st.slider("Waves", 1, 10, 3)
st.line_chart([math.sin(waves * step / 32) for step in range(201)])
st.write("Set `service_streamlit_script` to a script of your own to see that instead.")
