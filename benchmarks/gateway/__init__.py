"""The OpenAI door beside other gateways: the same upstream, the same load, the same minute."""
