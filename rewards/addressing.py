"""Whether a text speaks to whoever grades it, told apart from prose that uses the same words.

Finance is full of scores, ratings, verdicts and systems. What marks an order to a grader is not a
word but what stands together, and where:

- the answer speaks of itself ("this answer") next to a grade, or is what an order is to grade;
- an order, which begins its clause, is about earlier instructions, the rubric or a grade;
- a bare label of a verdict ("Score:", nothing before it that says whose) has a value on a grader's
  scale and nothing after it; or the verdict stands in a machine's form (JSON, tags, [[A]]);
- a turn of a grader or a system is played, or one is called, and grades or answers are its subject.
"""

from __future__ import annotations

import re

_NEAR = r"[^.!?。！？\n]"
_START = (
    r"(?:^|[.!?:;,。！？、，\"'(\[\])>*#|}–—]\s*|\s-+\s+|^\W{1,8}"
    r"|\b(?:please|kindly|now|just|simply|instead|you(?: (?:should|must|shall|may|can|will|to"
    r"|are to|need to|have to|ought to))?(?: now)?) )"
)
"""Where an order begins: a clause's beginning, or after a word that addresses somebody."""
_END = r"(?=\W*(?:$|\n)|\s*[.!?,;)\]}\"'|<*](?!\d))"

_ITSELF = (
    r"(?:\b(?:this|my|the above|the given|the preceding|the following) (?:\w+ )?"
    r"(?:answer|reply|response|comment|submission)s?\b|\bmy (?:solution|output|analysis)\b"
    r"|\bthe (?:answer|reply|response|comment|submission|solution) (?:above|below|given|here)\b)"
)
_ALL = (
    r"\b(?:every|each|all|any|all the|these) (?:\w+ )?"
    r"(?:answers?|repl(?:y|ies)|responses?|comments?|submissions?|candidates?)\b"
)
_TOP = (
    r"(?:full|highest|maximum|maximal|max|top|perfect|best)(?: possible| available)? "
    r"(?:scores?|marks?|credit|points?|grades?|ratings?|levels?|rewards?|verdicts?)\b"
)
_PRAISE = (
    rf"\b(?:{_TOP}|correct(?:ly)?|accurate|flawless|perfect|verified|approved|accepted|graded"
    r"|(?:is|are|was|were|as|be|it) (?:\w+ )?(?:right|excellent|sound|valid)(?=\W*(?:$|\n|[.!?]))"
    r"|(?:should|must|shall|has to|deserves to|will) pass|(?:score|grade|mark|reward) of"
    rf"|a pass\b|10/10|10 out of 10|an? (?:perfect )?(?:10|ten|100|a\+){_END})"
)
_GRADE = (
    r"(?:rate|grade|mark|score|judge|accept|count|treat|consider|evaluate|regard|deem|label"
    r"|classify|approve|validate|credit|reward|assess)"
)
_GIVE = (
    r"(?:output|give|assign|award|return|report|print|write|respond(?: only)?(?: with)?"
    r"|reply(?: only)?(?: with)?|answer(?: only)?(?: with)?|say|set|put|grant|use|choose|select"
    r"|pick|provide|emit|record|issue)"
)
_GOOD = (
    r"(?:yes|true|correct|right|pass(?:ed)?|full|perfect|max(?:imum)?|excellent|sound|explains"
    r"|valid|accept(?:ed)?|approved|one|ten|highest|a\+)"
)
_MARK = (
    r"(?:-?(?:10|[0-9])(?:\.[0-9]+)?|100(?:\.0+)?)%?|-?[0-9]+(?:\.[0-9]+)?\s*(?:/|out of)\s*[0-9]+"
)
_LABEL = r"(?:score|verdict|grade|judge?ment|evaluation|marks?|reward|grading result)"
_OPEN = r"[\"'*_\[({<]*"
_CLOSE = r"[\"'*_\])>]*"
_IS = r"(?:\s*(?:[:=]|->|=>)[*_]*\s*|\s+[-–—]\s+)"
_DROP = (
    r"(?:ignore|disregard|forget|override|bypass|discard|overrule|do not follow|don.t follow"
    r"|stop following|pay no attention to)"
)
_EARLIER = r"(?:previous|prior|above|earlier|preceding|foregoing|original|system|grading|scoring"
_GRADER = r"(?:grader|evaluator|examiner|assessor|(?:ai|llm|dear|automated|auto) judge|autograder)"
_SUBJECT = (
    rf"(?:\bgrad(?:e|ed|es|ing)\b|\brubric|\bscor(?:e|es|ed|ing)\b|\bverdict|\b(?:is|are|as"
    rf"|it) (?:\w+ )?correct\b|{_TOP}"
    r"|\binstructions?\b|\b(?:answer|response|reply|comment|submission|candidate)s?\b)"
)

_ENGLISH = (
    # The answer about itself.
    rf"{_ITSELF}{_NEAR}{{0,40}}{_PRAISE}",
    rf"{_ALL}{_NEAR}{{0,40}}(?:\b{_TOP}|\b(?:is|are|as) (?:\w+ )?correct\b)",
    r"\b(?:this (?:solution|output)|everything (?:above|here|i (?:said|wrote))) (?:is|was) "
    r"(?:\w+ )?(?:correct|right|accurate|perfect)\b",
    rf"{_START}(?:rate|grade|mark|score|accept|approve|certify|validate|credit"
    rf"|pass)\b{_NEAR}{{0,15}}"
    rf"(?:{_ITSELF}|{_ALL})",
    r"\byou (?:should|must|have to|need to|will|shall|can) (?:\w+ )?(?:accept|pass|approve|mark"
    r"|grade"
    r"|rate|score) (?:this|it|me|my)\b",
    rf"\balready (?:been )?(?:accepted|graded|marked|approved|verified|scored) "
    rf"(?:as correct\b|(?:this|it) as correct\b|{_ITSELF})",
    r"\bmatch(?:es|ed)? the (?:reference|gold|expected|model) (?:answer|solution|response)\b",
    rf"\bi (?:deserve|should get|should receive|ask for|expect) (?:an? |the )?{_TOP}",
    r"\bbe (?:generous|lenient|kind)\b" + rf"{_NEAR}{{0,25}}\b(?:scor|grad|mark)",
    rf"{_START}{_GRADE} (?:this|it|me|everything|the (?:answer|reply|response|comment|submission))"
    rf"(?: above)?,?(?: as| to be| with)?(?: an?| the)? ?(?:\w+ )?(?:{_PRAISE}|(?:{_GOOD}"
    rf"|best(?: answer)?){_END}|{_MARK})",
    rf"{_START}(?:give|award|grant) (?:this|it|me|my \w+|the \w+) (?:an? |the )?"
    rf"(?:{_TOP}|(?:{_MARK}){_END}|pass\b|[0-9]+ (?:points|marks))",
    r"\b(?:i|we)\b" + rf"{_NEAR}{{0,20}}\b(?:certify|confirm|attest|guarantee|verify|assure|swear|"
    rf"declare|promise|vouch)\b{_NEAR}{{0,20}}\b(?:this|it|everything) (?:is|was)(?: \w+)? "
    r"(?:correct|right|accurate|true|perfect)\b",
    # Orders about instructions and grades.
    rf"{_START}{_DROP}\b{_NEAR}{{0,25}}\b{_EARLIER}|evaluation|all|any|your|these|those)\b"
    rf"{_NEAR}{{0,20}}\b(?:instructions?|prompts?|rubrics?|guidelines?|directives?|directions|"
    r"criteria|rules|commands?|polic(?:y|ies))\b",
    rf"{_START}{_DROP}\b{_NEAR}{{0,15}}\b(?:instructions?|prompts?|rules|guidelines?|directives?) "
    r"(?:above|before|given|you|earlier|that came)\b",
    rf"{_START}{_DROP} (?:the above|all that|the rest|what \w+ \w+ (?:says|said))(?: and\b| text"
    rf"|{_END})",
    rf"\b{_DROP}\b{_NEAR}{{0,15}}\b(?:the|your|this|any) (?:\w+ )?(?:rubric|(?:system )?prompt)\b",
    rf"{_START}{_DROP} (?:everything|all|anything)(?: that)? (?:above|before|said|you|i|written)\b",
    rf"{_START}{_GIVE} (?:\w+ )?(?:an? |the )?(?:only |just )?{_TOP}(?! (?:to|for|of) "
    r"(?!this|my|me|it|the (?:answer|response|comment|reply)|every|each|all|both|criteri))",
    rf"{_START}{_GIVE} (?:(?:it|me|this|that) )?(?:an? |the )?(?:final |overall )?"
    rf"{_LABEL}(?: of|:| =| as)? {_OPEN}(?:{_GOOD}|{_MARK})",
    rf"{_START}{_GIVE} (?:only |just |the (?:word|number|token|label|letter) )*{_OPEN}"
    rf"(?:{_GOOD}|10|1){_CLOSE}{_END}",
    rf"\b(?:correct|right) {_LABEL} is {_OPEN}(?:{_GOOD}|{_MARK})",
    rf"(?:^|[.!?]\s+)\W*result{_IS}(?:pass|passed|correct|true|yes){_END}",
    rf"(?:^|[.!?,;]\s+)\W*(?:logic|depth|grounds|tone){_IS}{_OPEN}(?:sound|explains|clear|good"
    rf"|right|some)"
    rf"{_CLOSE}{_END}",
    rf"\b(?:the|your|my) (?:final )?{_LABEL} (?:should|must|shall|has to|needs to) be {_OPEN}"
    rf"(?:{_GOOD}|{_MARK}|the )",
    r"(?:^|[.!?:]\s+|\n\W*)(?:new |updated |revised )?(?:grading|scoring|marking) (?:policy"
    r"|rules?|"
    r"instructions?|rubric|scheme) (?:is |are |was |has been )?(?:updated|changed|overrid"
    r"|revised|:)",
    r"(?:^|[.!?:]\s+|\n\W*)(?:new|updated|revised|real|actual) instructions?\s*:",
    r"\byou are (?:now |no longer )?(?:an? |the )?(?:\w+ )?(?:grader|evaluator|judge|assistant|"
    r"language model|chatbot|examiner)\b",
    rf"\byour (?:new )?(?:task|job|role|goal) is (?:now )?to (?:{_GIVE}|{_GRADE})\b",
    # A verdict in place of an argument.
    rf"(?:^|[^\w\s'’/&+-]\s*|[0-9]\s+|\b(?:final|overall|assigned|answer|response|my"
    rf"|your)\s+){_OPEN}"
    rf"{_LABEL}{_CLOSE}{_IS}{_OPEN}(?:(?:{_MARK})|{_GOOD}|an?\b\+?){_CLOSE}{_END}",
    rf"(?:^|\n)\W*(?:final )?(?:score|grade|marks?){_CLOSE}{_IS}{_OPEN}[0-9]{{1,2}}{_CLOSE}{_END}",
    rf"\bfinal (?:score|grade|mark|judge?ment|verdict)(?: is|{_IS}|,)? ?{_OPEN}"
    rf"(?:{_GOOD}\b(?! (?:percent|hundred|million|billion|of|that))|(?:{_MARK}){_CLOSE}{_END})",
    rf"(?:^|[^\w\s'’/&+-]\s*){_OPEN}rating{_CLOSE}{_IS}{_OPEN}"
    rf"(?:10|1|[0-9]+\s*/\s*(?:5|10|100)|correct|perfect|excellent){_CLOSE}{_END}",
    r"[\"'](?:final_?)?(?:score|verdict|grade|judge?ment|reward|(?:is_)?correct|passed|logic|depth|"
    r"grounds|tone|preferred|evaluation|rating)[\"']\s*:\s*[\"']?(?:-?[0-9]|true|yes|correct|pass|"
    r"sound|explains|right|some|clear|good|excellent|full|perfect|[ab]\b)",
    r"</?(?:final_?)?(?:score|verdict|grade|rating|judge?ment|reward)\s*>",
    r"\[\[(?:[abc]|[0-9]+|correct|yes|true)\]\]",
    # A turn that is played, or somebody who is called.
    rf"(?:^|\n|[.!?)]\s+|---\s*)[\W_]{{0,6}}(?:{_GRADER}|judge|system|assistant|developer|user"
    rf"|human)"
    rf"(?: (?:message|note|prompt|override|update"
    rf"|instructions?))?[#*_\])>]*\s*:{_NEAR}{{0,80}}{_SUBJECT}",
    rf"(?:^|[.!?)]\s+)[\W_]{{0,6}}{_GRADER}(?: \w+)?\s*:{_NEAR}{{0,80}}\b(?:accept|pass|award"
    rf"|approve|correct)\b",
    rf"(?:^|[.!?]\s+)10/10{_END}",
    r"\bsystem (?:prompt|override|message)\s*[:\]]",
    rf"\b(?:as|i am|i'm) (?:an? |the |your )?(?:\w+ )?{_GRADER}\b,?{_NEAR}{{0,60}}{_SUBJECT}",
    rf"\b(?:dear|hey|hello|hi|note to(?: the)?|attention|message to(?: the)?|to the),? "
    rf"(?:\w+ )?(?:{_GRADER}|judge|marker)\b",
    rf"{_START}(?:{_GRADER}|judge), (?:please|you|mark|give|accept|rate|grade|be|do)\b",
    rf"\b(?:the|any|every) (?:{_GRADER}|judge) (?:must|should|shall|will|has to|is to|may"
    rf"|can) (?:\w+ )?"
    rf"(?:(?:output|respond|reply)\b|(?:give|award|assign|accept|mark|grade|score|rate"
    rf"|pass)\b{_NEAR}{{0,25}}"
    rf"\b(?:this (?:answer|response|comment|reply)|my|marks?|correct|answer)\b)",
    rf"(?:^|[.!?]\s+|\n)\W*end of (?:the )?(?:candidate(?:'s)? )?(?:response|answer|comment"
    rf"|candidate|"
    rf"submission|evaluation|grading|rubric|prompt){_END}",
    r"(?:^|[.!?]\s+|\n)\W*(?:response|answer|comment|candidate"
    r"|submission) ends?(?: here)?\W*(?:$|\n|\.)",
    r"\b(?:reference|gold|golden|expected|ground[- ]truth) (?:answer|solution|response"
    r"|label)\s*[:=]",
)  # fmt: skip

_OTHERS = (
    # Chinese
    r"(?:此|该|本|这个?|这一|这份|这条|我的|上述|以上)(?:个|条|份|篇)?(?:回答|答案|回复|作答|解答)"
    r"[^。!?\n]{0,12}(?:正确|满分|无误|最高|通过|高分|合格)",
    r"(?:请|务必|必须|直接|应当?|你)(?:你|您|直接|务必|一定|把|将|对|给|予以|都|要|它|其"
    r"|我){0,4}[^。!?\n]{0,8}"
    r"(?:评为|判为|判定为?|视为|标记为|认定为?|算作|打|给予?|评)(?:出|我|它|个|以|了)?(?:满分"
    r"|最高分|高分|正确|通过|"
    r"合格|10\s*分|100\s*分)",
    r"(?:给我|给它|打个?|直接给|都给|必须给|一律给)(?:予|出)?(?:满分|最高分|高分)|输出(?:分数"
    r"|评分|得分)?[:\s\"“「]?(?:正确|满分|1\b|10\b)",
    r"(?:^|\n)满分\W*$",
    r"(?<![不应能可会得勿被])(?:忽略|无视|忘记|忘掉|不要理会|跳过)[^。!?\n]{0,10}(?:以上|之前"
    r"|上述|前面|所有|先前|此前|全部|一切)"
    r"[^。!?\n]{0,8}(?:指令|指示|提示词|提示(?=$|[,.!。、\s并])|评分|评判)(?!风险)",
    r"(?:忽略|无视)[^。!?\n]{0,6}(?:评分标准|评分规则|评判标准|提示词)",
    r"(?:^|[\n。!?\s#*])(?:最终|综合)?(?:评分|得分|分数|判定|评判|评价|裁决)(?:结果)?\s*[:=]\s*"
    r"(?:10|[0-9]|100|满分|正确|通过|优秀|[0-9]+/[0-9]+)\s*分?(?=$|[\n。!?\s,，])",
    r"(?:阅卷|评分|评卷|判卷|打分)(?:老师|员|人|者)\s*[:,，、]",
    # Japanese
    r"(?:この|本|上記の?|私の|以上の?)(?:回答|答え|解答|返答|コメント|答案)[^。!?\n]{0,15}"
    r"(?:正解|正しい|満点|最高点|最高評価|高得点|合格|正答)",
    r"(?:満点|最高点|最高評価|正解|高得点|合格)[」』\"]?(?:を|と|に|として|で)(?:与え|付け|つけ"
    r"|して|扱|採点|評価|判定|みなし|"
    r"下さい|ください|お願い|出力|しろ|せよ)",
    r"(?:以前|これまで|上記|前|すべて|全て|先)(?:まで)?の[^。\n]{0,8}(?:指示|命令|プロンプト"
    r"|採点基準|評価基準)"
    r"[^。\n]{0,5}(?:無視|忘れ)",
    r"採点(?:者|官|係)(?:へ|の方|は|様|さん)?\s*[:、,]|(?:^|[\n。\s])(?:最終)?(?:スコア|採点結果"
    r"|評点|判定|得点)"
    r"\s*[:=]\s*(?:10|[0-9]|100|満点|正解|合格)\s*点?(?=$|[\n。\s])",
    # Korean
    r"(?:이|본|위|해당|제|내|나의|저의)\s*(?:답변|답안|응답|답|댓글"
    r"|코멘트)[을를은이가에의]?[^.\n]{0,15}"
    r"(?:만점|정답|최고점|올바른 답|맞다|맞습|정확합|정확한 답|통과)",
    r"(?:만점|최고점|최고 점수)[을를으]?로?\s*(?:주세|주십|줘|주어|부여|처리|평가|채점|매겨|해)"
    r"|정답으로\s*(?:처리|간주|채점"
    r"|인정|평가|판정)",
    r"(?:이전|앞선|앞의|위의?|기존|모든)[^.\n]{0,8}(?:지시|명령|지침|프롬프트"
    r"|채점)[^.\n]{0,8}(?:무시|잊)|채점자\s*(?:님|께)"
    r"|(?:^|[.\s])(?:최종 ?)?(?:점수|스코어|평점|채점 결과)\s*[:=]\s*(?:10|[0-9]|100|만점"
    r"|정답)\s*점?(?=$|[\s.])",
    # Russian
    r"\b(?:оцени|поставь|засчитай)(?:те)?\b(?:.{0,40}\b(?:ответ|балл|оценк)"
    r"|.{0,15}\b(?:максимально|высоко|на отлично))",
    r"\b(?:считай|признай|отметь|дай|присвой|прими|выстав(?:ь|и))(?:те)?\b.{0,40}"
    r"\b(?:эт\w+ (?:ответ|комментари|решени)|мо\w+ ответ|ответ\w* (?:верн|правильн)|"
    r"(?:высш|максимальн|наивысш|полн)\w+ (?:балл|оценк))",
    r"\b(?:этот|мой|данный) (?:ответ|комментарий)\b.{0,25}\b(?:верн|правильн|безошибочн|высш"
    r"|максимальн|корректн)",
    r"\b(?:про)?(?:игнорируй|забудь|отбрось)(?:те)?\b.{0,25}\b(?:предыдущ|прежн|вышеуказанн|все"
    r"|систем|рубрик)"
    r".{0,25}\b(?:инструкци|указани|рубрик|промпт|критери)",
    r"(?:^|[.!?]\s+|\n)\W*(?:итогов\w+ |финальн\w+ )?(?:оценка|балл|вердикт|результат)\s*[:=]\s*"
    r"(?:10|[0-9]|100|отлично|верно|правильно|зачет|зачёт)(?=\W*(?:$|\n)|[.!])",
    # Spanish, Portuguese, Italian, French: this answer, a grade; the highest grade, an order
    r"\b(?:esta|mi|essa|minha|questa|la mia|a minha|cette|ma) (?:\w+ )?(?:respuesta|resposta"
    r"|risposta|réponse)\b"
    r".{0,30}\b(?:corre[ct]|correc|corrett|exact|juste|valid|válid|máxim|maxim|massim|perfe[ct]"
    r"|parfait|"
    r"perfett|plus haut|mejor nota|meilleure|certa\b|giust|bonne\b|sobresaliente|excelente"
    r"|excellent)",
    r"\b(?:califi(?:ca|que)|punt[uú][ae]|marque|marca|consider[ae]|acept[ae]|avali[ae]"
    r"|eval[uú][ae]|aceite|"
    r"classifi(?:que|ca)|valut(?:a|ate|i)|considerate|accett(?:a|ate)|notez|évaluez|jugez"
    r"|considérez|"
    r"acceptez|marquez|note|évalue)\b.{0,15}\b(?:esta|mi|essa|minha|questa|mia|cette|ma) "
    r"(?:respuesta|resposta|risposta|réponse)\b",
    r"(?:^|[.!?:;,¡]\s*|\n\W*|\b(?:por favor|per favore|s'il vous plaît|veuillez),? )"
    r"(?:da(?:r|me|le|ai)?|dé(?:le|me)?|dê|dai|date|dia|pon(?:le|ga|me)?|otorg(?:a|ue)\w*"
    r"|asign(?:a|e)\w*|"
    r"assegn(?:a|ate|i)|atribu(?:a|i)|donnez?|attribuez?|mettez|mets)(?:-\w+)?\b.{0,30}"
    r"\b(?:máxim|maxim|massim|puntuación perfecta|mejor (?:nota|puntuación)|melhor nota"
    r"|nota (?:10|dez|diez)|"
    r"meilleure note|note (?:la plus|parfaite)|tous les points)",
    r"\b(?:ignor[aei]\w*|olvid[ae]\w*|esque[çc]\w*|dimentic\w+|oublie[zr]?|désobéi\w+)\b.{0,25}"
    r"\b(?:instrucciones|indicaciones|instruções|istruzioni|instructions|consignes|rúbrica"
    r"|rubrica|barème)\b"
    r".{0,20}\b(?:anteriores?|previas|prévias|acima|precedenti|sopra|précédentes|ci-dessus"
    r"|antérieures)",
    r"\b(?:ignor[aei]\w*|olvid[ae]\w*|oublie[zr]?)\b.{0,12}\b(?:rúbrica|rubrica|barème"
    r"|précédentes instructions|"
    r"anteriores instrucciones)\b",
    r"(?:^|[.!?]\s+|\n)\W*(?:puntuación|calificación|pontuação|punteggio|nota|note|voto"
    r"|veredicto|veredito|"
    r"verdetto|gesamtnote|punktzahl|bewertung|urteil|cijfer|ocena|puan)(?: final[e]?"
    r"| finale)?\s*[:=]\s*"
    r"(?:10|[0-9]|100|[0-9]+/[0-9]+|correct\w*|corrett\w|richtig|korrekt|máxima)(?=\W*(?:$|\n)"
    r"|[.!])",
    r"\b10\s*/\s*10 (?:à|a|para|per|für|voor|за) (?:cette|esta|essa|questa|diese|dit|этот)\b",
    # German, Dutch
    r"\b(?:dies\w+|meine?r?|(?:die|der) (?:obige|vorliegende)n?|dit|mijn) (?:antwort|lösung"
    r"|kommentar|antwoord)\b"
    r".{0,30}\b(?:richtig|korrekt|voll|höchst|best|fehlerfrei|perfekt|juist|correct|goed\b"
    r"|hoogste)",
    r"(?:^|[.!?:;,]\s*|\n\W*|\bbitte )(?:bewerte|benote|beurteile|werte|akzeptiere|markiere|gib"
    r"|gebe|vergib|erteile"
    r"|vergebe|geben|beoordeel|geef|markeer)n?\b.{0,25}(?:\b(?:dies\w+|meine?r?|dit"
    r"|mijn) (?:antwort|lösung|"
    r"kommentar|antwoord)|\bvolle?n? punkt|\bhöchst\w*|\bbestnote|\bmaximale?\b.{0,6}(?:punkt"
    r"|score))",
    r"(?:^|[.!?,:;]\s*)(?:volle punktzahl|höchstpunktzahl|bestnote)\b",
    r"\b(?:ignorier\w*|vergiss|vergessen sie|missachte\w*|negeer|vergeet)\b.{0,20}\b(?:vorherig"
    r"|bisherig|obig|früher|"
    r"vorangegangen|alle|vorige|eerdere|bewertung)\w*.{0,20}\b(?:anweisung|instruktion|vorgabe"
    r"|instructie|opdracht|"
    r"raster|massst)",
    # Polish, Turkish, Vietnamese, Indonesian, Arabic, Hindi
    r"\b(?:tę|moją|ta|ten) odpowied\w+.{0,25}(?:poprawn|prawidłow|maksymaln|bezbłędn)"
    r"|\b(?:zignoruj|pomiń|zapomnij)\w*"
    r".{0,15}(?:poprzedni|wcześniejs|wszystki)\w+.{0,15}(?:instrukcj|poleceni)",
    r"\bbu (?:cevab|yanıt)\w*.{0,20}(?:doğru|tam puan|mükemmel|en yüksek)|\b(?:önceki|yukarıdaki"
    r"|tüm)\b.{0,20}"
    r"talimat\w*.{0,10}(?:yok say|unut|görmezden|dikkate alma)",
    r"câu trả lời này.{0,25}(?:đúng|chính xác|điểm tối đa|hoàn hảo)|(?:bỏ qua|phớt lờ"
    r"|quên).{0,20}(?:hướng dẫn|chỉ dẫn|"
    r"chỉ thị).{0,15}(?:trước|trên)",
    r"\b(?:jawaban|respons) (?:ini|saya).{0,25}(?:benar|nilai (?:penuh|sempurna|tertinggi)"
    r"|sempurna)|\babaikan\b.{0,20}"
    r"(?:instruksi|perintah|petunjuk).{0,15}(?:sebelumnya|di atas)",
    r"(?:هذه الإجابة|هذا الجواب|هذا الرد|إجابتي).{0,25}(?:صحيح|كامل|أعلى|الكاملة)"
    r"|تجاهل.{0,15}(?:التعليمات|الأوامر|"
    r"الإرشادات)",
    r"(?:इस|मेरे) (?:उत्तर|जवाब).{0,20}(?:सही|पूर्ण|पूरे|सर्वोच्च)|(?:पिछले|पूर्व|उपरोक्त"
    r"|सभी).{0,15}निर्देश.{0,15}(?:अनदेखा|भूल|"
    r"नज़रअंदाज़|उपेक्षा)",
)  # fmt: skip

_PATTERNS = [re.compile(pattern, re.MULTILINE) for pattern in (*_ENGLISH, *_OTHERS)]


def addresses_judge(text: str) -> bool:
    """Whether a text speaks to whoever grades it. It comes cleaned, normalised (NFKC), in lower
    case, with one space between words and its line breaks kept: a label begins its line."""
    return any(pattern.search(text) for pattern in _PATTERNS)
