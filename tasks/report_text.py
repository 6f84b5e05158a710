"""Makes a report's text easy to read for rules, character by character, so that every position stays what it was.

Lower case, half width, simplified characters, one kind of dash; markup, control and bidirectional signs become blanks.
The result has exactly the length of the text, so evidence is cut from the text as it was written.
"""

from __future__ import annotations

import re

# Traditional → simplified, for the characters that the lexica use. A site's own lexicon is folded the same way.
_TRADITIONAL = (
    "壓压縮缩摺折變变體体節节術术後后療疗陳陈舊旧鮮鲜發发損损傷伤診诊斷断檢检見见無无顯显異异轉转腫肿質质鬆松歷历臨临會会橫横關关盤盘間间兩两側侧雙双單单個个餘余從从對对與与還还請请結结議议補补報报"
    "錐锥佔占應应該该較较約约減减級级線线緣缘終终狀状況况稱称點点樣样髖髋顱颅頸颈鎖锁腳脚腦脑張张壞坏齊齐將将併并僅仅雖虽麼么響响評评價价續续證证據据實实際际裡里開开閉闭進进過过達达違违遠远連连運运"
    "選选適适隨随難难雜杂離离類类項项預预領领頭头顏颜顧顾風风飛飞養养驗验驚惊鬱郁鹽盐麗丽麥麦黃黄齒齿龍龙歲岁膽胆脈脉腸肠臟脏薦荐蓋盖藥药處处號号衛卫複复訪访許许認认誤误說说調调論论識识護护讀读賴赖"
    "贅赘軟软輕轻輔辅邊边鄰邻釘钉鈣钙錄录鏡镜長长門门陰阴陽阳隱隐靜静韌韧頂顶順顺須须飽饱鷹鹰氣气動动勢势區区協协參参員员問问國国圍围團团場场塊块墜坠夾夹奪夺學学寬宽尋寻導导屬属層层師师帶带廣广庫库"
    "彎弯彈弹徑径恆恒態态慮虑慣惯憶忆懷怀擴扩擬拟擠挤攝摄敗败數数斂敛昇升時时條条樁桩機机檔档權权殘残滿满濃浓濕湿為为熱热爾尔狹狭獨独環环現现產产畫画痺痹盡尽眾众確确積积穩稳竇窦範范緊紧縱纵織织罈坛"
    "丟丢偽伪書书亞亚親亲內内寫写則则創创刪删別别葉叶審审宮宫峽峡強强徵征總总惡恶癒愈掃扫構构樞枢橋桥沒没滲渗滯滞簡简組组經经係系恥耻脹胀脛胫膿脓規规觀观訂订訴诉諸诸資资輸输遺遗鋼钢銷销錯错閱阅頜颌顳颞顴颧髕髌魚鱼雞鸡於于並并復复裏里佈布跡迹純纯繼继犧牺纖纤兇凶齡龄圖图聲声蹤踪遊游勻匀塵尘慘惨彌弥"
    "幹干猶犹準准劑剂醫医嘔呕圓圆島岛換换柵栅欄栏溝沟潤润電电暢畅禍祸窩窝筆笔紋纹維维綜综網网臍脐襪袜話话語语車车遲迟悶闷闌阑險险盞盏"
    "聯联肅肃脅胁脫脱腎肾膚肤艦舰莖茎蟲虫裝装視视覺觉訊讯記记"
)
_BLANKS = (
    *range(0x00, 0x09),
    *range(0x0B, 0x0D),
    *range(0x0E, 0x20),
    0x7F,
    0xA0,
    0xAD,
    *range(0x2000, 0x2010),
    *range(0x2028, 0x2030),
    *range(0x205F, 0x2070),
    0x3000,
    0xFEFF,
    0xFFFD,
)
_SIGNS = {
    **dict.fromkeys("‐‑‒–—―−﹣－~～〜∼", "-"),
    **dict.fromkeys("‘’ʼ′`´＇", "'"),
    **dict.fromkeys("“”„″＂「」『』", '"'),
    **dict.fromkeys("﹖⁇", "?"),
    **dict.fromkeys("•·●▪◦○■□◆*", "*"),
    "。": "。",
    "｡": "。",
    "．": ".",
    "﹐": ",",
    "︰": ":",
    "﹕": ":",
    "【": "[",
    "】": "]",
    "〔": "[",
    "〕": "]",
    "\r": "\n",
}
_FULL_WIDTH = range(0xFF01, 0xFF5F)
_HALF_WIDTH_SHIFT = 0xFEE0

# Signs that scanning and typing confuse, where only one reading makes sense. Same length on both sides.
_MISREAD = (
    *(
        ("末见", "未见"),
        ("末发现", "未发现"),
        ("锥体", "椎体"),
        ("椎休", "椎体"),
        ("椎本", "椎体"),
        ("推体", "椎体"),
    ),
    *(
        ("骨拆", "骨折"),
        ("骨析", "骨折"),
        ("契形", "楔形"),
        ("锲形", "楔形"),
        ("楔型", "楔形"),
        ("压宿", "压缩"),
    ),
    *(("塌限", "塌陷"), ("疏送", "疏松")),
)

# "#" says fracture in Britain, India and Australia: "no # seen", "?# L1". Not at the beginning of a line, where it
# begins a list, nor before a number. In a lexicon "#" is a level, so "^" stands for it, which no folded report has
# otherwise.
FRACTURE_SIGN = "^"
_FRACTURE = re.compile(r"(?<=[^\n#])#(?!\s?[\d:#])")

# A tag is short; a lone "<" is "less than".
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]{0,9}|!--)([^<>]{0,300})>")
_LINE_TAGS = frozenset({"br", "p", "div", "li", "tr", "ul", "ol", "h1", "h2", "h3", "table", "section"})
_ENTITY = re.compile(r"&(?:nbsp|emsp|ensp|thinsp|amp|quot|lt|gt|apos|#\d{1,5}|#x[0-9a-f]{1,4});")


def _table() -> dict[int, str]:
    table = {code: chr(code - _HALF_WIDTH_SHIFT) for code in _FULL_WIDTH}
    table |= {ord(sign): plain for sign, plain in _SIGNS.items()}
    table |= dict.fromkeys(_BLANKS, " ")
    pairs = zip(_TRADITIONAL[::2], _TRADITIONAL[1::2], strict=True)
    table |= {ord(old): new for old, new in pairs if old != new}
    table |= {code: chr(code + 32) for code in range(ord("A"), ord("Z") + 1)}
    table |= {code: chr(code - _HALF_WIDTH_SHIFT + 32) for code in range(0xFF21, 0xFF3B)}
    return table


_TABLE = _table()


def fold(text: str) -> str:
    """The text for reading by rules: same length, one form for each sign. Markup becomes blanks and line ends."""
    folded = text.translate(_TABLE)
    for wrong, right in _MISREAD:
        if wrong in folded:
            folded = folded.replace(wrong, right)
    if "<" in folded:
        folded = _TAG.sub(_blank_tag, folded)
    if "&" in folded:
        folded = _ENTITY.sub(lambda found: " " * len(found[0]), folded)
    return folded


def fold_report(text: str) -> str:
    """The same of a whole report, with `FRACTURE_SIGN` for a "#" that says fracture."""
    folded = fold(text).replace(FRACTURE_SIGN, " ")
    return _FRACTURE.sub(FRACTURE_SIGN, folded) if "#" in folded else folded


def _blank_tag(found: re.Match[str]) -> str:
    blanks = " " * (len(found[0]) - 1)
    return ("\n" if found[2] in _LINE_TAGS else " ") + blanks
