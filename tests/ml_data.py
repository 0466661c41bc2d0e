"Tickets for the tests of the classifier: six symptoms, and messages about none of them."
import numpy as np

PHRASES = {
    "TWO FACTOR": ["reset totp", "otp ditolak", "kode authenticator salah", "barcode authenticator kehapus"],
    "LOCKED": ["akun ke lock", "unlock user", "user terkunci", "buka blokir akun"],
    "PASSWORD": ["lupa password", "reset pwd", "ganti kata sandi", "link lupa password"],
    "EVIDENCE": ["foto gagal upload", "upload eviden gagal", "foto redaman ilang", "kamera force close"],
    "ORDER": ["wo tidak muncul", "order hilang", "wo belum masuk", "order nyangkut di draft"],
    "MODEM": ["ont lampu merah", "serial ont rusak", "modem mati total", "ganti ont gagal"],
}
SOLUTIONS = {"TWO FACTOR": "totp sudah direset", "LOCKED": "sudah di unlock", "PASSWORD": "password direset, cek email",
             "EVIDENCE": "clear cache lalu ulangi", "ORDER": "order sudah dikirim ulang", "MODEM": "serial sudah diganti"}
WORDS = "min gan bang moban tolong pagi dari tadi urgent plgn nunggu hp baru di lokasi".split()
STRANGERS = ["info cuaca jaksel hujan deres", "nobar bola nanti malem siapa ikut", "jual motor murah nego tipis",
             "cari kos dekat stasiun", "selamat ulang tahun pak bos", "resep nasi goreng kambing enak"]


def tickets(n=480, seed=0):
    "Texts, solutions (for two of three) and labels."
    rng = np.random.default_rng(seed)
    labels = [list(PHRASES)[i % len(PHRASES)] for i in range(n)]
    texts = [" ".join([*rng.choice(WORDS, 3), str(rng.choice(PHRASES[label])), *rng.choice(WORDS, 2)]) for label in labels]
    return texts, [SOLUTIONS[label] if i // 6 % 3 else "" for i, label in enumerate(labels)], labels
